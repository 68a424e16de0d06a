"""Whether training waits for its data: the share of the time, and what to do."""

import time
from collections.abc import Callable, Iterable, Iterator

from segformer_core.config.workers import auto_workers
from segformer_core.protocol.learner import Batch

NOTICED = 0.1
"""The share of the time from which waiting is told."""

AHEAD = 1.5
"""Steps: a device that has more than these left to do when the host asks for its result is what the host waits for, not data."""


class Waiting:
    """Counts the seconds in which the loop has no batch, and tells it once. `clock` gives seconds."""

    def __init__(self, log: Callable[[str], None], workers: int, clock: Callable[[], float] = time.perf_counter):
        self.log, self.workers, self.clock = log, workers, clock
        self.told = False
        self.start_anew()

    def start_anew(self) -> None:
        """Count from here on."""
        self.since, self.waited, self.steps = self.clock(), 0.0, 0

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; the first one is not waited for, but made by workers that start."""
        first = True
        asked = self.clock()
        for batch in batches:
            if first:
                self.start_anew()
            else:
                self.waited += self.clock() - asked
            self.steps += 1
            first = False
            yield batch
            asked = self.clock()

    def tell(self, device_seconds: float) -> None:
        """Log the share if it is noticeable. `device_seconds`: how long the host has just waited for the device's last result."""
        seconds = self.clock() - self.since
        if self.told or not self.steps or device_seconds > AHEAD * seconds / self.steps or self.waited < NOTICED * seconds:
            return
        self.told = True
        most = auto_workers()
        more = f"raise dataset_num_parallel_workers (auto is {most} here), or " if self.workers < most else ""
        self.log(
            f"WARNING: training waited for data {self.waited / seconds:.0%} of the time, with {self.workers} workers; "
            f"{more}store the images smaller, or PNGs without compression (segformer unpack_dataset)"
        )
