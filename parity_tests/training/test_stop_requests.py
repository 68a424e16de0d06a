"""What stops a run: a signal in a step or in an evaluation, and output that is lost. Everything is saved, nothing is skipped."""

import errno
import io
import json
import signal
import sys
import threading
import time

import numpy as np
import pytest

from parity_tests.training.loops import SPEC, STEPS_OF_EPOCH, looped
from parity_tests.training_runs import EPOCHS, FULL, SMALL, assert_same_run, flags, run, start
from segformer_core.config.load import load_config
from segformer_core.data.dataset import Classes, Dataset, Item
from segformer_core.evaluation.evaluate import evaluate
from segformer_core.inference.segmenter import Segmenter
from segformer_core.interrupt import CutShort, Stopped, StopRequest
from segformer_core.memory import OutOfMemory
from segformer_core.output import OutputLost, guarded_output
from segformer_core.pictures import write_png
from segformer_core.protocol.learner import ALONE, Processes


def saved_in(folder) -> list[str]:
    return sorted(path.name.removeprefix("segformer_mit_b0_") for path in folder.glob("*.safetensors"))


def metrics(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("step", [1, 3, STEPS_OF_EPOCH])
def test_a_signal_in_a_step(step, tmp_path):
    stop = StopRequest()
    with pytest.raises(Stopped, match="SIGHUP"):
        looped(tmp_path, stop, at=lambda number: stop(signal.SIGHUP, None) if number == step else None)
    assert saved_in(tmp_path) == ["1.safetensors" if step == STEPS_OF_EPOCH else f"step{step}.safetensors"]
    assert len(metrics(tmp_path)) == step


class Breakable(io.StringIO):
    error: OSError | None = None

    def write(self, text: str) -> int:
        if self.error:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("step", [1, 3, 2 * STEPS_OF_EPOCH])
def test_lost_output(step, error, tmp_path, monkeypatch):
    """As a signal: the step is ended, its metrics are written and the checkpoint is of that step."""
    output = Breakable()
    monkeypatch.setattr(sys, "stdout", output)

    def fail(number: int) -> None:
        output.error = error if number == step else output.error

    with pytest.raises(OutputLost) as lost, guarded_output():
        looped(tmp_path, StopRequest(), at=fail)
    assert lost.value.pipe_closed == isinstance(error, BrokenPipeError)
    last = step == 2 * STEPS_OF_EPOCH
    assert saved_in(tmp_path) == (["1.safetensors", "2.safetensors"] if last else [f"step{step}.safetensors"])
    assert len(metrics(tmp_path)) == step


@pytest.mark.parametrize(("interval", "names"), [(1, ["1.safetensors"]), (3, ["step4.safetensors"])])
def test_a_signal_in_an_evaluation_which_the_next_run_makes_up(interval, names, tmp_path):
    stop, evaluated = StopRequest(), []

    def cut_short(name: str) -> dict[str, float]:
        stop(signal.SIGTERM, None)
        raise CutShort

    def whole(name: str) -> dict[str, float]:
        evaluated.append(name)
        return {"miou": 0.5}

    keys = {"save_checkpoint_epoch_interval": interval}
    with pytest.raises(Stopped, match="SIGTERM"):
        looped(tmp_path, stop, evaluate=cut_short, **keys)
    assert saved_in(tmp_path) == names
    assert not any("miou" in entry for entry in metrics(tmp_path))
    looped(tmp_path, StopRequest(), evaluate=whole, step=STEPS_OF_EPOCH, **keys)
    assert evaluated == ["segformer_mit_b0_1.safetensors" if interval == 1 else "epoch 1", "segformer_mit_b0_2.safetensors"]


def test_a_signal_in_the_last_evaluation(tmp_path):
    stop = StopRequest()

    def cut_short(name: str) -> dict[str, float]:
        stop(signal.SIGINT, None)
        raise CutShort

    with pytest.raises(Stopped, match="SIGINT"):
        looped(tmp_path, stop, evaluate=cut_short, eval_start_epoch=2)
    assert saved_in(tmp_path) == ["1.safetensors", "2.safetensors"]


def test_too_little_memory_for_a_step(tmp_path):
    def fail(number: int) -> None:
        if number == 2:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes.")

    with pytest.raises(OutOfMemory, match="not enough memory for a training step .*; lower batch_size or crop_size"):
        looped(tmp_path, StopRequest(), at=fail)


class Counting:
    """A network that labels everything 0 and notes how often."""

    def __init__(self, at=lambda count: None):
        self.count, self.at = 0, at

    def predict(self, images, plan):
        self.count += 1
        self.at(self.count)
        return np.zeros((len(images[0]), *plan.size), np.uint8)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    items = []
    for number in range(24):
        item = Item(tmp_path / f"{number}.png", tmp_path / f"{number}_label.png", str(number))
        write_png(item.image, np.zeros((32, 32, 3), np.uint8))
        write_png(item.label, np.zeros((32, 32), np.uint8))
        items.append(item)
    return Dataset(tmp_path, "val", Classes(("a", "b", "c"), ((0, 0, 0),) * 3), tuple(items))


def evaluated(dataset, network, processes, stop) -> object:
    config = load_config(flags(SMALL | {"base_size": [32, 32]}))
    segmenter = Segmenter(network, SPEC, config.data, config.evaluation)
    return evaluate(segmenter, dataset, lambda line: None, "x", processes, asked=lambda: stop.signal_number)


def test_an_evaluation_stops_at_the_next_image(dataset):
    stop = StopRequest()
    network = Counting(lambda count: stop(signal.SIGTERM, None) if count == 3 else None)
    with pytest.raises(CutShort):
        evaluated(dataset, network, ALONE, stop)
    assert network.count == 3


def test_processes_agree_to_stop_an_evaluation(dataset):
    """Only one is asked. It goes straight to where they meet, and none waits for ever or keeps a score."""
    barrier, sums = threading.Barrier(2, timeout=60), [None, None]
    outcomes, networks, stops = [None, None], [], [StopRequest(), StopRequest()]

    def process(rank: int) -> None:
        def all_reduce(array: np.ndarray) -> np.ndarray:
            sums[rank] = array
            barrier.wait()
            total = sums[0] + sums[1]
            barrier.wait()
            return total

        try:
            outcomes[rank] = evaluated(dataset, networks[rank], Processes(rank, 2, all_reduce), stops[rank])
        except CutShort:
            outcomes[rank] = "cut short"

    networks = [Counting(lambda count: stops[0](signal.SIGTERM, None) if count == 2 else None), Counting()]
    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["cut short", "cut short"]
    assert [network.count for network in networks] == [2, 12]


SLOW = "import time, segformer_core.inference.segmenter as s; real = s.Segmenter.label\n"
SLOW += "s.Segmenter.label = lambda *arguments: (time.sleep(1), real(*arguments))[1]"


@pytest.mark.parametrize("backend", ["torch", *(["mindspore"] if FULL else [])])
def test_stopped_in_an_evaluation_it_ends_like_a_run_without_interruption(backend, run_keys, undisturbed, tmp_path):
    want, _ = undisturbed(backend)
    configured = run_keys | {"checkpoint_path": tmp_path}
    process = start(f"backend_{backend}", configured, SLOW)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("eval dataset size"):
            process.send_signal(signal.SIGTERM)
            break
    since = time.monotonic()
    rest, _ = process.communicate()
    output = "".join(lines) + rest
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "SIGTERM: stopped in the evaluation after step 6 of 10; the same command goes on from there" in output
    assert "Traceback" not in output and "Exception ignored" not in output and "Evaluation Result" not in output
    print(f"{backend}: ended {time.monotonic() - since:.1f} s after the signal")
    assert "Evaluation Result" in run(f"backend_{backend}", configured)
    assert_same_run(tmp_path, want, EPOCHS)
