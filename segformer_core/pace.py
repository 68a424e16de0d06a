"""When to log progress, and how long an item took."""

import time


def rounded(time_taken: float) -> str:
    """A time for a line: a whole number from 10 on, two figures below, so that none is 0."""
    return f"{time_taken:.0f}" if time_taken >= 10 else f"{time_taken:.2g}"


class Pace:
    """Measures the time since the last log line; a line is due every `interval` items and after item `total`."""

    def __init__(self, interval: int, total: int):
        self.interval, self.total = interval, total
        self.since, self.logged = time.perf_counter(), 0

    def __call__(self, count: int) -> float | None:
        """Milliseconds per item since the last line if a line is due after `count` items, otherwise None."""
        if count % self.interval and count != self.total:
            return None
        now = time.perf_counter()
        milliseconds = (now - self.since) / (count - self.logged) * 1000
        self.since, self.logged = now, count
        return milliseconds
