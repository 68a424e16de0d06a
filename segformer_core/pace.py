"""When to log progress, and how long an item took."""

import time


class Pace:
    """Counts the time since the last line; a line is due every `interval` items and after the last of `total`."""

    def __init__(self, interval: int, total: int):
        self.interval, self.total = interval, total
        self.since, self.logged = time.perf_counter(), 0

    def __call__(self, done: int) -> float | None:
        """Milliseconds an item since the last line, if one is due after `done` items."""
        if done % self.interval and done != self.total:
            return None
        now = time.perf_counter()
        milliseconds = (now - self.since) / (done - self.logged) * 1000
        self.since, self.logged = now, done
        return milliseconds
