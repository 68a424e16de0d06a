"""One way out for Ctrl-C, SIGTERM and the end of the terminal: an exception in the main thread; for training a request."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNALLED = 128
"""The exit code of a process that a signal ended is this and the signal's number."""
REPEAT_SECONDS = 2.0
"""A signal is a second one only so long after the first: launchers and schedulers send one and the same to a process twice."""
PATIENCE_SECONDS = 3.0
"""How long the main thread may take to end after a second signal, before it is ended."""


class Stopped(KeyboardInterrupt):
    """The process was asked to stop. As a KeyboardInterrupt it passes every `except Exception`, and ends child processes."""

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class CutShort(Exception):
    """An evaluation has ended early because a stop request asked for it; nothing of it is kept."""


class Repeats:
    """Tells the same signal, sent again on purpose, from others: a launcher sends SIGTERM after Ctrl-C, or one signal twice."""

    def __init__(self) -> None:
        self.first: dict[int, float] = {}

    def __call__(self, signal_number: int) -> bool:
        """Whether this signal is a second one. A terminal that closes may send SIGHUP twice, and that is never one."""
        now = time.monotonic()
        again = now - self.first.setdefault(signal_number, now) >= REPEAT_SECONDS
        return again and signal_number != signal.SIGHUP


class WayOut:
    """The handler outside training: the first signal raises Stopped, and the same signal again ends the process at once."""

    def __init__(self) -> None:
        self.repeats, self.stopping = Repeats(), False

    def __call__(self, signal_number: int, _: FrameType | None) -> None:
        if self.repeats(signal_number):
            signal.signal(signal_number, signal.SIG_DFL)
            signal.raise_signal(signal_number)
        if not self.stopping:  # else what the first signal began would not be cleaned up
            self.stopping = True
            raise Stopped(signal_number)


class StopRequest:
    """The handler in training. `signal_number` is 0 until the process is asked to stop.

    The same signal again raises Stopped at once.
    """

    def __init__(self) -> None:
        self.repeats, self.signal_number = Repeats(), 0
        self.lost: Exception | None = None

    def __call__(self, signal_number: int, _: FrameType | None) -> None:
        if self.repeats(signal_number):
            raise Stopped(signal_number)
        self.signal_number = self.signal_number or signal_number

    def output_lost(self, error: Exception) -> None:
        """Nobody can read the run's lines any more: this stops it like a signal. `error` is what ends the command."""
        self.lost = error
        self.signal_number = self.signal_number or signal.SIGPIPE


@contextmanager
def one_way_out() -> Iterator[None]:
    """In this context every signal of SIGNALS raises Stopped in the main thread."""
    with _handled_by(WayOut()), _watched():
        yield


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """In this context a signal of SIGNALS only sets `signal_number`; the same one again raises Stopped."""
    request = StopRequest()
    with _handled_by(request):
        yield request


@contextmanager
def ended_at_once() -> Iterator[None]:
    """In this context a signal ends the process at once: for calls of a framework that wait for others and see no exception."""
    with _handled_by(signal.SIG_DFL):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    """What `nohup` ignores stays ignored. Only a main thread can handle signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, signal.SIG_DFL if former is None else former)  # None: a handler that is not Python's


@contextmanager
def _watched() -> Iterator[None]:
    """In this context the same signal twice ends the process though the main thread is inside one long call of a framework.

    Python's handlers wait for the call's end. A thread of its own sees the signals' numbers in a pipe.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # a child's signals are not this process's
    left = threading.Event()
    threading.Thread(target=_end_at_the_second, args=(reader, left), daemon=True).start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        os.close(writer)  # which ends the thread


def _end_at_the_second(reader: int, left: threading.Event) -> None:
    """Watch the pipe until it is closed; Python's own handlers may end the process, or leave the context, more gently."""
    repeats = Repeats()
    while number := os.read(reader, 1):
        if number[0] in SIGNALS and repeats(number[0]) and not left.wait(PATIENCE_SECONDS):
            os._exit(SIGNALLED + number[0])
    os.close(reader)
