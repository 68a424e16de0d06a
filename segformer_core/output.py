"""Standard output that may be closed, full, cut off by `| head`, or of an encoding that lacks a character."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from segformer_core.errors import UserError


class OutputLost(UserError):
    """Standard output cannot be written. It is no OSError, which a writer of files would take for a failure of the file."""

    def __init__(self, error: OSError):
        super().__init__(f"cannot write to standard output: {error.strerror}; free some space or send it elsewhere")
        self.pipe_closed = isinstance(error, BrokenPipeError)


class Output:
    """A text stream whose failures are OutputLost."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        with self._failures():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._failures():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            discard(self._stream)
            raise OutputLost(error) from error


@contextmanager
def guarded_output() -> Iterator[None]:
    """In this context a failure to print is OutputLost, at the latest when the context is left; a closed stream swallows all."""
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may hold bytes that are no text
    before, sys.stdout = sys.stdout, cast(TextIO, Output(sys.stdout))
    try:
        yield
    except SystemExit:  # as a parser's --help ends
        sys.stdout.flush()
        raise
    except BaseException:
        with suppress(OutputLost):  # what ends the command is told, not this
            sys.stdout.flush()
        raise
    else:
        sys.stdout.flush()
    finally:
        sys.stdout = before


def tell(line: str) -> None:
    """Print a line on standard error, if anybody can read it."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Let the stream's file swallow what is still to come, or Python would complain of it when it ends."""
    with suppress(OSError, ValueError):  # a stream in memory has no file
        file, nothing = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, file)
        os.close(nothing)


def _open_standard_streams() -> None:
    """Put the null device where `>&-` left nothing; else the next file that is opened would get what is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w"))  # noqa: SIM115
