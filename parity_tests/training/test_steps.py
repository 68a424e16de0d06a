"""Runs whose length or intervals are given in steps: where they end, save and evaluate, also in the middle of an epoch."""

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from parity_tests.conftest import need
from parity_tests.training.loops import looped
from parity_tests.training.test_stop_requests import metrics, saved_in
from parity_tests.training_runs import FULL, assert_same_run, curve, run
from segformer_core.interrupt import CutShort, Stopped, StopRequest

LENGTH = 6
"""Steps: an epoch of four and half of the next one."""


class Evaluations:
    """Notes the names; each is better than the one before it."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str) -> dict[str, float]:
        self.names.append(name.removeprefix("segformer_mit_b0_"))
        return {"miou": len(self.names) / 100}


def test_a_run_ends_after_exactly_its_steps(tmp_path, capsys):
    """The learning rate falls over these steps: lr 1e-3 × (1 - step / 6), of which the warm-up of 4 steps takes its part."""
    taken = []
    looped(tmp_path, StopRequest(), at=taken.append, max_steps=LENGTH, warmup_steps=4, warmup_ratio=0.5)
    assert taken == [1, 2, 3, 4, 5, 6]
    entries = metrics(tmp_path)
    assert [(entry["step"], entry["epoch"]) for entry in entries] == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]
    warm = [0.5, 0.625, 0.75, 0.875, 1, 1]
    assert [entry["learning_rate"] for entry in entries] == pytest.approx(
        [1e-3 * factor * (6 - step) / 6 for step, factor in enumerate(warm)]
    )
    places = re.findall(r"^Epoch (\S+), step:(\S+),.* ETA (\S+)$", capsys.readouterr().out, re.MULTILINE)
    assert [place[:2] for place in places] == [
        *[("1/2", f"{step}/4") for step in (1, 2, 3, 4)],
        ("2/2", "1/2"),
        ("2/2", "2/2"),
    ]
    assert places[-1][2] == "0:00:00"


def test_the_last_step_has_a_log_line(tmp_path):
    looped(tmp_path, StopRequest(), max_steps=LENGTH, train_log_interval=100, save_checkpoint=False)
    assert [entry["step"] for entry in metrics(tmp_path)] == [4, 6]


def test_a_run_shorter_than_an_epoch(tmp_path, capsys):
    looped(tmp_path, StopRequest(), evaluate=(evaluated := Evaluations()), max_steps=3, eval_start_epoch=2)
    assert "Epoch 1/1, step:3/3, " in capsys.readouterr().out
    assert evaluated.names == ["step3.safetensors"], "the last step is evaluated, whatever eval_start_epoch says"
    assert saved_in(tmp_path) == ["best.safetensors", "step3.safetensors"]


OCCASIONS = {
    "by epochs": ({"max_steps": 6}, ["1", "step6"], ["1", "step6"]),
    "a whole number of epochs": ({"max_steps": 8}, ["1", "2"], ["1", "2"]),
    "every two epochs": (
        {"max_steps": 14, "save_checkpoint_epoch_interval": 2, "eval_interval": 2},
        ["2", "step14"],
        ["2", "step14"],
    ),
    "every three steps": (
        {"max_steps": 8, "save_interval_steps": 3, "eval_interval_steps": 3},
        ["step3", "step6", "step8"],
        ["step3", "step6", "step8"],
    ),
    "saved by steps, evaluated by epochs": ({"save_interval_steps": 3}, ["step3", "step6", "step8"], ["step 4", "step8"]),
    "saved by epochs, evaluated by steps": ({"eval_interval_steps": 3}, ["1", "2"], ["step 3", "step 6", "2"]),
    "from the second epoch on": ({"eval_interval_steps": 3, "eval_start_epoch": 2}, ["1", "2"], ["step 6", "2"]),
    "longer than the run": ({"eval_interval_steps": 99, "save_interval_steps": 99}, ["step8"], ["step8"]),
    "nothing saved": ({"eval_interval_steps": 5, "save_checkpoint": False}, [], ["step 5", "epoch 2"]),
}


@pytest.mark.parametrize("case", OCCASIONS)
def test_what_is_saved_and_evaluated(case, tmp_path):
    keys, saved, evaluated = OCCASIONS[case]
    evaluate = Evaluations()
    looped(tmp_path, StopRequest(), evaluate=evaluate, keep_checkpoints=0, **keys)
    assert saved_in(tmp_path) == sorted([f"{label}.safetensors" for label in saved] + ["best.safetensors"])
    assert [name.removesuffix(".safetensors") for name in evaluate.names] == evaluated


def test_each_has_a_log_line_of_its_own(tmp_path):
    """Also where it falls between two of the interval: several processes agree to stop at these steps."""
    keys = {"eval_interval_steps": 3, "save_interval_steps": 5, "train_log_interval": 100}
    looped(tmp_path, StopRequest(), evaluate=Evaluations(), **keys)
    assert [entry["step"] for entry in metrics(tmp_path) if "loss" in entry] == [3, 4, 5, 6, 8]


def test_the_newest_few_are_kept(tmp_path):
    looped(tmp_path, StopRequest(), max_steps=7, save_interval_steps=2, keep_checkpoints=2)
    assert saved_in(tmp_path) == ["step6.safetensors", "step7.safetensors"]


@pytest.mark.parametrize(("step", "names"), [(3, ["step3"]), (5, ["1", "step5"])])
def test_stopped_within_an_epoch(step, names, tmp_path):
    stop = StopRequest()
    with pytest.raises(Stopped, match="SIGHUP"):
        looped(tmp_path, stop, at=lambda number: stop(signal.SIGHUP, None) if number == step else None, max_steps=LENGTH)
    assert saved_in(tmp_path) == [f"{name}.safetensors" for name in names]
    taken: list[int] = []
    looped(tmp_path, StopRequest(), at=taken.append, step=step, max_steps=LENGTH)
    assert len(taken) == LENGTH - step
    assert [entry["step"] for entry in metrics(tmp_path)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("keys", "at"), [({"eval_interval_steps": 3, "save_interval_steps": 3}, 3), ({}, LENGTH)])
def test_an_evaluation_within_an_epoch_is_made_up(keys, at, tmp_path):
    """As after a kill, too: the metrics have no mIoU of this step."""
    stop, evaluate = StopRequest(), Evaluations()

    def cut_short(name: str) -> dict[str, float]:
        stop(signal.SIGTERM, None)
        raise CutShort

    keys = keys | {"max_steps": LENGTH, "eval_start_epoch": 0 if keys else 2}
    with pytest.raises(Stopped, match="SIGTERM"):
        looped(tmp_path, stop, evaluate=cut_short, **keys)
    assert f"step{at}.safetensors" in saved_in(tmp_path)
    looped(tmp_path, StopRequest(), evaluate=evaluate, step=at, **keys)
    assert evaluate.names == (["step3.safetensors", "step6.safetensors"] if at == 3 else ["step6.safetensors"])
    looped(tmp_path, StopRequest(), evaluate=evaluate, step=LENGTH, **keys)
    assert evaluate.names.count("step6.safetensors") == 1, "nothing is left to evaluate"


RUN = {"max_steps": 5, "eval_interval_steps": 3, "save_interval_steps": 3, "keep_checkpoints": 0}
"""Of two steps an epoch: saved and evaluated after step 3, in the middle of the second, and at the end, in that of the third."""


@pytest.fixture(scope="module")
def keys(run_keys):
    return {name: value for name, value in run_keys.items() if name not in ("epoch_size", "eval_interval")} | RUN


@pytest.fixture(scope="module")
def whole(keys, tmp_path_factory) -> Callable[[str], Path]:
    """backend -> the folder of a run that nothing happened to."""
    folders: dict[str, Path] = {}

    def get(backend: str) -> Path:
        need(backend)
        if backend not in folders:
            folders[backend] = tmp_path_factory.mktemp(backend)
            said = run(f"backend_{backend}", keys | {"checkpoint_path": folders[backend]})
            assert "8 images, 5 steps, 2 in an epoch, results in" in said
            places = re.findall(r"^Epoch (\d/\d, step:\d/\d), ", said, re.MULTILINE)
            assert places == ["1/3, step:2/2", "2/3, step:1/2", "2/3, step:2/2", "3/3, step:1/1"]
            evaluated = re.findall("ckpt: (.*)", said)
            assert evaluated == ["segformer_mit_b0_step3.safetensors", "segformer_mit_b0_step5.safetensors"]
        return folders[backend]

    return get


def killed_after_step_3(whole: Path, folder: Path) -> None:
    """The folder as a run leaves it that was killed before its first evaluation had ended."""
    shutil.copytree(whole, folder)
    (folder / "segformer_mit_b0_step5.safetensors").unlink()
    (folder / "segformer_mit_b0_best.safetensors").unlink()
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(line for line in lines if "miou" not in line))


@pytest.mark.parametrize("backend", ["torch", *(["mindspore"] if FULL else [])])
def test_killed_in_the_middle_of_an_epoch(backend, whole, keys, tmp_path):
    killed_after_step_3(whole(backend), tmp_path / "run")
    said = run(f"backend_{backend}", keys | {"checkpoint_path": tmp_path / "run"})
    assert "step3.safetensors after step 3 of 5" in said and said.count("Evaluation Result") == 2
    assert_same_run(tmp_path / "run", whole(backend), "step5")
    said = run(f"backend_{backend}", keys | {"checkpoint_path": tmp_path / "run"})
    assert "step5.safetensors is the end of this run: nothing is left to train" in said and "Epoch " not in said


@pytest.mark.skipif(not FULL, reason="compiles MindSpore's training, as a test of whole epochs does; make test-all runs it")
def test_the_other_framework_goes_on_in_the_middle_of_an_epoch(whole, keys, tmp_path, need_mindspore):
    killed_after_step_3(whole("torch"), tmp_path / "run")
    said = run("backend_mindspore", keys | {"checkpoint_path": tmp_path / "run"})
    assert "step3.safetensors after step 3 of 5" in said
    got, want = (curve(folder, "loss") for folder in (tmp_path / "run", whole("torch")))
    assert got.keys() == want.keys() == {2, 3, 4, 5}
    assert (got[2], got[3]) == (want[2], want[3])
    apart = max(abs(got[step] - want[step]) for step in (4, 5))
    other = max(abs(want[step + 1] - want[step]) for step in (3, 4))
    print(f"steps 4 and 5 differ by {apart:.2g}, from one step to the next by {other:.2g}")
    assert apart < 1e-3 < other, "the losses of other steps would be noticed"
    assert curve(tmp_path / "run", "learning_rate") == curve(whole("torch"), "learning_rate")
