"""The line that says that training waits for its data, by a clock of the test's own."""

import pytest

from segformer_core.training.waiting import Waiting


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lines_of(loading: float, computing: float, device: float = 0.0, steps: int = 10, first: float = 100.0) -> list[str]:
    """What is logged after steps whose batch takes `loading` seconds and whose step `computing`, of the host's time."""
    clock, lines = Clock(), []

    def batches():
        for step in range(steps):
            clock.now += loading if step else first
            yield step

    waiting = Waiting(lines.append, 3, clock)
    for _ in waiting.watch(batches()):
        clock.now += computing
    clock.now += device
    waiting.tell(device)
    waiting.tell(device)
    return lines


def test_waiting_is_told_once_with_its_share_and_what_to_do():
    [line] = lines_of(loading=1.0, computing=1.0, steps=11)
    assert line.startswith("WARNING: training waited for data 48% of the time, with 3 workers; ")


@pytest.mark.parametrize(("workers", "advised"), [(4, True), (3, False)])
def test_more_workers_are_advised_where_there_are_cores_for_them(workers, advised, monkeypatch):
    monkeypatch.setattr("segformer_core.training.waiting.auto_workers", lambda: workers)
    [line] = lines_of(loading=1.0, computing=1.0)
    assert ("raise dataset_num_parallel_workers (auto is 4 here), or store" in line) == advised


def test_it_is_told_where_every_step_is_logged():
    """The first window has the first batch alone, which is not waited for."""
    clock, lines = Clock(), []
    waiting = Waiting(lines.append, 3, clock)

    def batches():
        for _ in range(3):
            clock.now += 9.0
            yield

    for step, _ in enumerate(waiting.watch(batches())):
        clock.now += 1.0
        waiting.tell(0.0)
        assert len(lines) == min(step, 1)
        waiting.start_anew()


@pytest.mark.parametrize(
    "pace",
    [
        {"loading": 0.0, "computing": 1.0},
        {"loading": 0.1, "computing": 1.0},
        {"loading": 0.9, "computing": 0.0, "device": 4.0},
        {"loading": 9.0, "computing": 1.0, "steps": 1},
    ],
    ids=["none", "little", "the device is behind", "the first batch"],
)
def test_what_is_no_waiting(pace):
    assert lines_of(**pace) == []


def test_a_device_that_is_hardly_behind_waits():
    assert lines_of(loading=1.0, computing=0.0, device=0.5)


def test_it_counts_anew():
    clock, lines = Clock(), []
    waiting = Waiting(lines.append, 3, clock)
    waiting.waited, waiting.steps, clock.now = 9.0, 5, 10.0
    waiting.start_anew()
    clock.now, waiting.steps = 20.0, 5
    waiting.tell(0.0)
    assert lines == []
