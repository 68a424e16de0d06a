"""Silences the image decoders: this project says in its own words what is wrong with a file."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import cv2

SILENT = 0
"""OpenCV's log level at which it says nothing."""

STDERR_SYMBOLS = {"linux": "stderr", "darwin": "__stderrp"}
"""Platform -> the C library's variable that points to its standard error stream."""


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """While any thread is inside, OpenCV logs nothing, and what C libraries print to their standard error is dropped.

    libpng and libjpeg print their warnings there. Python's standard error and the file descriptor stay as they are, so a
    progress bar of another thread still shows. But the stream is the whole process's: what a framework's C++ code prints through
    it at such a moment, such as a line of MindSpore's log, is dropped as well.
    """
    STREAM.enter()
    try:
        yield
    finally:
        STREAM.leave()


class Stream:
    """C's standard error: `enter` turns it away, the `leave` that belongs to the first `enter` turns it back."""

    def __init__(self) -> None:
        self.lock, self.inside, self.level = Lock(), 0, SILENT
        self.pointer, self.usual, self.nowhere = _c_stream()
        if hasattr(os, "register_at_fork"):  # a thread that was inside does not exist in the child
            os.register_at_fork(after_in_child=self._start_anew)

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self._point_to(self.nowhere)
                if hasattr(cv2, "setLogLevel"):  # not in OpenCV 5
                    self.level = cv2.setLogLevel(SILENT)

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self._point_to(self.usual)
                if hasattr(cv2, "setLogLevel"):
                    cv2.setLogLevel(self.level)

    def _point_to(self, stream: int | None) -> None:
        if self.pointer is not None:
            self.pointer.value = stream

    def _start_anew(self) -> None:
        if self.inside:
            self._point_to(self.usual)
        self.lock, self.inside = Lock(), 0


def _c_stream() -> tuple[ctypes.c_void_p | None, int | None, int | None]:
    """The C library's variable, its usual stream, and a stream that drops everything; None where the variable is not known."""
    symbol = STDERR_SYMBOLS.get(sys.platform)
    try:
        library = ctypes.CDLL(None)
        library.fopen.restype = ctypes.c_void_p
        nowhere = library.fopen(os.devnull.encode(), b"w")
        pointer = ctypes.c_void_p.in_dll(library, symbol or "")
    except (OSError, AttributeError, TypeError, ValueError):  # another C library: its chatter is harmless
        return None, None, None
    return (pointer, pointer.value, nowhere) if nowhere else (None, None, None)


STREAM = Stream()
