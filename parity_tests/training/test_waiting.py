"""The line that says that training waits for its data, by a clock of the test's own."""

import time

import pytest

from parity_tests.training.loops import looped
from segformer_core.interrupt import StopRequest
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
    assert ("raise dataset_num_parallel_workers" in line) == ("(auto is 4 here), or store" in line) == advised


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
        {"loading": 0.12, "computing": 1.0},
        {"loading": 0.9, "computing": 0.0, "device": 4.0},
        {"loading": 9.0, "computing": 1.0, "steps": 1},
    ],
    ids=["none", "9.7% of the time", "the device is behind", "the first batch"],
)
def test_what_is_no_waiting(pace):
    assert lines_of(**pace) == []


def test_a_tenth_of_the_time_is_told():
    [line] = lines_of(loading=0.13, computing=1.0)
    assert "10% of the time" in line


@pytest.mark.parametrize(("device", "told"), [(1.55, True), (1.65, False)])
def test_a_device_with_no_more_than_a_step_and_a_half_left_waits(device, told):
    """Of ten steps in nine seconds and the device's own, which are 1.06 each."""
    assert bool(lines_of(loading=1.0, computing=0.0, device=device)) == told


def test_it_counts_anew():
    clock, lines = Clock(), []
    waiting = Waiting(lines.append, 3, clock)
    waiting.waited, waiting.steps, clock.now = 9.0, 5, 10.0
    waiting.start_anew()
    clock.now, waiting.steps = 20.0, 5
    waiting.tell(0.0)
    assert lines == []


def test_it_tells_the_workers_that_are_at_work(tmp_path, monkeypatch, capsys):
    """No more than the machine has cores, nor than the run has samples; the key says more."""
    for cores, length, workers in ((5, 8, 5), (64, 4, 4)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        looped(tmp_path / str(cores), StopRequest(), dataset_num_parallel_workers=1024, max_steps=length, batch_seconds=0.05)
        assert f" of the time, with {workers} workers; " in capsys.readouterr().out


@pytest.mark.parametrize("interval", [1, 3])
@pytest.mark.parametrize("slow", ["batches", "steps"])
def test_the_loop_tells_it(slow, interval, tmp_path, capsys):
    waits = {"batch_seconds": 0.05} if slow == "batches" else {"at": lambda number: time.sleep(0.4)}
    looped(tmp_path, StopRequest(), train_log_interval=interval, max_steps=6, **waits)
    assert capsys.readouterr().out.count("WARNING: training waited for data ") == (slow == "batches")
