"""SIGTERM and Ctrl-C as a stop request, which the training loop handles after the step that is running."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    """A run ended early because it was asked to; everything is saved."""

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class StopRequest:
    """`signal_number` is 0 until the process is asked to stop."""

    def __init__(self) -> None:
        self.signal_number = 0

    def __call__(self, signal_number: int, _: FrameType | None) -> None:
        if self.signal_number == signal_number == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C ends the process at once
        self.signal_number = signal_number


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """In this context SIGTERM and SIGINT only set `signal_number`; a second Ctrl-C ends the process at once."""
    request = StopRequest()
    before = {number: signal.signal(number, request) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
