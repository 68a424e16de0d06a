"""SIGTERM and Ctrl-C, as a wish that the training loop grants after the step it is in."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    """A run that ended early because it was asked to, with everything saved."""

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class Wish:
    """`signal_number` is 0 until the process is asked to stop."""

    def __init__(self) -> None:
        self.signal_number = 0

    def __call__(self, signal_number: int, _: FrameType | None) -> None:
        if self.signal_number == signal_number == signal.SIGINT:
            raise KeyboardInterrupt  # asked twice: at once
        self.signal_number = signal_number


@contextmanager
def stop_wish() -> Iterator[Wish]:
    """While it is open, SIGTERM and SIGINT are noted and nothing more. (A second Ctrl-C ends the process at once.)"""
    wish = Wish()
    before = {number: signal.signal(number, wish) for number in SIGNALS}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
