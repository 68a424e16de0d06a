"""Checkpoints: what they hold, which are kept, which are refused with which sentence, and that none is lost."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import CONFIG, LEARNERS, hot_arrays, random_batch, random_masks
from parity_tests.training_runs import FULL, SMALL, finished, flags, run, saved, start
from segformer_core.cli import USERS_MISTAKE, main
from segformer_core.commands.train import check_same_step
from segformer_core.config.keys import KEYS, Config, TrainingConfig
from segformer_core.errors import TrainingError, UserError
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Processes
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.training.checkpoint import Checkpoints, decisive_values
from segformer_core.weights.reading import read
from segformer_core.weights.store import save_described

SPEC = segformer("b0", class_count=3)
ABOUT = {"images in the training set": 8}


class Weights:
    """Stands in for a learner: a network's arrays and an optimizer's."""

    def __init__(self, seed: int = 0):
        self.seed = seed

    def arrays(self):
        return init_arrays(SPEC, self.seed)

    def optimizer_arrays(self):
        moments = {f"moment1.{name}": array for name, array in init_arrays(SPEC, self.seed + 1).items()}
        return moments | {"steps": np.float32(self.seed)}


def configured(**training) -> Config:
    return replace(CONFIG, training=replace(TrainingConfig(), **training))


def checkpoints_in(folder: Path, config: Config = CONFIG, about=ABOUT) -> Checkpoints:
    return Checkpoints(str(folder), SPEC, config, about)


def refuse_line(line: str) -> None:
    raise AssertionError(line)


def test_a_checkpoint_gives_back_what_it_was_given(tmp_path):
    checkpoints = checkpoints_in(tmp_path)
    path = checkpoints.save(Weights(7), 12, 345)
    assert path.name == "segformer_mit_b0_12.safetensors"
    checkpoint = checkpoints_in(tmp_path).to_resume("auto", refuse_line)
    assert (checkpoint.path, checkpoint.step) == (path, 345)
    for got, want in ((checkpoint.weights, Weights(7).arrays()), (checkpoint.optimizer, Weights(7).optimizer_arrays())):
        assert got.keys() == want.keys() and all(np.array_equal(got[name], want[name]) for name in want)
    weights = read(path)
    assert weights.architecture.variant == "b0" and all(name.startswith("optimizer.") for name in weights.dropped)


def test_the_newest_few_and_the_best_are_kept(tmp_path):
    checkpoints = checkpoints_in(tmp_path, configured(keep_checkpoints=2))
    for epoch in range(1, 5):
        checkpoints.save(Weights(epoch), epoch, 10 * epoch)
        checkpoints.save_if_best(Weights(epoch), 10 * epoch, miou=1 / epoch)
    checkpoints.save(Weights(9), "step45", 45)
    assert [path.name.removeprefix("segformer_mit_b0_") for path in sorted(tmp_path.iterdir())] == [
        "4.safetensors",
        "best.safetensors",
        "step45.safetensors",
    ]
    assert saved(tmp_path / "segformer_mit_b0_best.safetensors")[1]["miou"] == "1.0"
    again = checkpoints_in(tmp_path)
    assert again.to_resume("auto", refuse_line).step == 45 and again.best_miou == 1.0
    assert not again.save_if_best(Weights(), 50, 0.9)


def test_a_best_of_later_steps_does_not_count(tmp_path):
    checkpoints = checkpoints_in(tmp_path)
    checkpoints.save(Weights(), 1, 10)
    checkpoints.save_if_best(Weights(), 20, 0.5)
    again = checkpoints_in(tmp_path)
    again.to_resume("auto", refuse_line)
    assert again.best_miou == -np.inf


@pytest.mark.parametrize("damage", ["truncated", "a flipped bit", "empty"])
def test_a_damaged_newest_is_named_and_the_one_before_it_used(damage, tmp_path):
    checkpoints = checkpoints_in(tmp_path)
    checkpoints.save(Weights(1), 1, 10)
    path = checkpoints.save(Weights(2), 2, 20)
    raw = bytearray(path.read_bytes())
    if damage == "a flipped bit":
        raw[-1000] ^= 1
    path.write_bytes(b"" if damage == "empty" else raw[:-5] if damage == "truncated" else raw)
    lines: list[str] = []
    checkpoint = checkpoints_in(tmp_path).to_resume("auto", lines.append)
    assert checkpoint.step == 10 and np.array_equal(checkpoint.optimizer["steps"], np.float32(1))
    (sentence,) = lines
    assert sentence.startswith(f"passed over: {path}") and ("damaged" in sentence or "is empty" in sentence)


def test_what_decides_a_result_must_agree_and_the_rest_may_change(tmp_path):
    checkpoints_in(tmp_path).save(Weights(), 1, 10)
    free = {name for name, item in KEYS.items() if not item.metadata["decides"]}
    assert {"data_path", "dataset_num_parallel_workers", "train_log_interval", "precision", "device_target"} <= free
    assert {"backbone", "class_num", "lr", "batch_size", "crop_size", "class_weights", "seed"} <= decisive_values(Config()).keys()
    other = replace(CONFIG, optimizer=replace(CONFIG.optimizer, lr=1e-3), data=replace(CONFIG.data, crop_size=(64, 64)))
    sentence = (
        r"of another run: crop_size is \[512, 1024\] there and \[64, 64\] here, lr is 6e-05 there and 0.001 here, "
        "images in the training set is 8 there and 9 here; use the same values to go on with it, "
        "or start a new run from its weights with: "
    )
    with pytest.raises(TrainingError, match=sentence):
        checkpoints_in(tmp_path, other, {"images in the training set": 9}).to_resume("auto", refuse_line)
    moved = replace(CONFIG, data=replace(CONFIG.data, data_path="elsewhere", dataset_num_parallel_workers=0))
    assert checkpoints_in(tmp_path, moved).to_resume("auto", refuse_line).step == 10


def spoilt(folder: Path, how: str) -> tuple[str, str]:
    """(the value of `resume`, the expected sentence)."""
    elsewhere = folder.parent / "elsewhere"
    path = checkpoints_in(elsewhere).save(Weights(), 1, 10)
    match how:
        case "missing":
            return str(folder / "nowhere.safetensors"), "no such weight file: .*nowhere.safetensors"
        case "weights only":
            best = checkpoints_in(elsewhere).save_if_best(Weights(), 10, 0.5)
            return str(best), "holds weights but no state of a training run; .* use --pretrained_ckpt_path"
        case "half-written":
            path.write_bytes(path.read_bytes()[:10000])
            return str(path), "is damaged or not a safetensors file"
        case "a newer version":
            arrays, metadata = saved(path)
            save_described(path, SPEC, arrays, {"step": "10", "config": metadata["config"], "checkpoint": "3"})
            return str(path), "was written by a newer version of this project; update this one"
        case "another network":
            other = segformer("b1", class_count=3)
            config = replace(CONFIG, model=replace(CONFIG.model, backbone="mit_b1"))
            b1 = Checkpoints(str(elsewhere / "b1"), other, config, ABOUT)
            learner = type("B1", (), {"arrays": lambda _: init_arrays(other, 0), "optimizer_arrays": lambda _: {}})()
            sentence = "is of another run: backbone is 'mit_b1' there and 'mit_b0' here; .* choose another checkpoint_path"
            return str(b1.save(learner, 1, 1)), sentence
        case "a new run in a used folder":
            shutil.copy(path, folder / path.name)
            return "none", "holds segformer_mit_b0_1.safetensors of an earlier run .*choose another checkpoint_path"
        case "another run's folder":
            shutil.copy(path, folder / path.name)
            return str(path), "of an earlier run .resuming .* from elsewhere would write over them"
    raise AssertionError(how)


HOPELESS = ("missing", "weights only", "half-written", "a newer version", "another network")


@pytest.mark.parametrize("how", [*HOPELESS, "a new run in a used folder", "another run's folder"])
def test_what_cannot_be_resumed(how, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    resume, sentence = spoilt(folder, how)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match=sentence):
        checkpoints_in(folder).to_resume(resume, refuse_line)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_checkpoint_from_elsewhere_starts_a_folder_of_its_own(tmp_path):
    path = checkpoints_in(tmp_path / "old").save(Weights(), 1, 10)
    assert checkpoints_in(tmp_path / "new").to_resume(str(path), refuse_line).step == 10


def test_a_mistake_leaves_before_a_framework_is_loaded(tmp_path, capsys):
    def refuse(runtime):
        raise AssertionError("a mistake must be found before a framework is loaded")

    root = write_folder_dataset(tmp_path / "set")
    keys = SMALL | {"data_path": root, "checkpoint_path": tmp_path / "run", "resume": "nowhere.safetensors"}
    assert main("train", refuse, flags(keys)) == USERS_MISTAKE
    assert capsys.readouterr().err == "error: no such weight file: nowhere.safetensors\n"


@pytest.mark.parametrize(("writer", "reader"), [("torch", "mindspore"), *([("mindspore", "torch")] if FULL else [])])
def test_an_optimizer_goes_on_in_the_other_framework(writer, reader, tmp_path, need_torch, need_mindspore):
    """Moments, step count and loss scale arrive bit for bit, and the next step is the same."""
    groups = [1e-3] * len(parameter_groups(SPEC, CONFIG.optimizer))
    first = LEARNERS[writer](SPEC, hot_arrays(SPEC))
    for seed in (1, 2):
        first.step(random_batch(SPEC, 2, 64, 64, seed), random_masks(SPEC, 2, seed), groups)
    checkpoints_in(tmp_path).save(first, 1, 2)
    checkpoint = checkpoints_in(tmp_path).to_resume("auto", refuse_line)
    second = LEARNERS[reader](SPEC, checkpoint.weights)
    second.load_optimizer_arrays(checkpoint.optimizer)
    for got, want in ((second.arrays(), first.arrays()), (second.optimizer_arrays(), first.optimizer_arrays())):
        assert got.keys() == want.keys() and all(np.array_equal(got[name], want[name]) for name in want)
    assert first.optimizer_arrays()["steps"] == 2
    losses = [float(each.step(random_batch(SPEC, 2, 64, 64), random_masks(SPEC, 2), groups).loss) for each in (first, second)]
    assert abs(losses[0] - losses[1]) < 1e-5
    after = [each.optimizer_arrays()["moment2.stages.0.norm.weight"] for each in (first, second)]
    assert np.abs(after[0] - after[1]).max() < 1e-4 * np.abs(after[0]).max()


def test_a_full_disk_ends_the_run_and_takes_nothing(tmp_path, need_torch):
    """A limit on the size of files stands for the full disk; it takes effect while the second checkpoint is written."""
    root = write_folder_dataset(tmp_path / "set", images=4)
    keys = SMALL | {"data_path": root, "checkpoint_path": tmp_path / "run", "epoch_size": 3, "run_eval": False}
    prelude = (
        "import resource, signal, segformer_core.training.checkpoint as c; real = c.Checkpoints.save\n"
        "def save(self, learner, label, step):\n"
        "    if step == 2: resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000))\n"
        "    return real(self, learner, label, step)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); c.Checkpoints.save = save"
    )
    code, output = finished(start("backend_torch", keys, prelude))
    assert code == 2, output
    assert f"error: cannot write {tmp_path}/run/segformer_mit_b0_2.safetensors: File too large; free some space" in output
    assert "Traceback" not in output
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "metrics.jsonl",
        "run.lock",
        "segformer_mit_b0_1.safetensors",
    ]
    assert "going on from" in run("backend_torch", keys)


def test_processes_that_see_different_checkpoints_stop():
    """One process sees a checkpoint of step 10, the other none."""
    with pytest.raises(TrainingError, match="different steps, this one from 10: .* put it on a file system that all share"):
        check_same_step(10, Processes(0, 2, lambda array: array + 0), TrainingConfig())
    check_same_step(10, Processes(0, 2, lambda array: array + 10), TrainingConfig())
