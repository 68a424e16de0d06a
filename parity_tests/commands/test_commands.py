"""The commands as a user meets them: train, evaluate and infer end to end, and every mistake as one sentence and exit code 2."""

import json
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests import ROOT, training_runs
from parity_tests.conftest import need
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import hot_arrays
from parity_tests.training_runs import SLOW_IN_MINDSPORE, flags, saved
from segformer_core.cli import DONE, USERS_MISTAKE, main
from segformer_core.commands.opening import connector
from segformer_core.config.load import load_config
from segformer_core.data.layout import open_dataset
from segformer_core.data.pipeline import TrainingStream
from segformer_core.evaluation.metrics import confusion_matrix, scores
from segformer_core.interrupt import StopRequest
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Step
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.training.log import Log
from segformer_core.training.loop import Run, train
from segformer_core.weights.loading import load_weights
from segformer_core.weights.store import save_weights

SPEC = segformer("b0", class_count=3)
SMALL = training_runs.SMALL | {"dataset_num_parallel_workers": 64}  # more than there are cores
TRAIN = SMALL | {"epoch_size": 2, "batch_size": 2, "warmup_steps": 1, "train_log_interval": 1}


@pytest.fixture(params=["torch", "mindspore"])
def connect(request):
    need(request.param)
    return connector(request.param)


def refuse(runtime):
    raise AssertionError("a mistake must be found before a framework is loaded")


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_folder_dataset(tmp_path / "set")


@pytest.fixture
def weights(tmp_path) -> Path:
    save_weights(tmp_path / "weights.safetensors", SPEC, hot_arrays(SPEC))
    return tmp_path / "weights.safetensors"


def test_train_evaluate_infer(connect, folder, tmp_path, capsys):
    run = tmp_path / "run"
    small = SMALL | {"data_path": folder}
    assert main("train", connect, flags(TRAIN | {"data_path": folder, "checkpoint_path": run})) == DONE
    printed = capsys.readouterr().out
    lines = re.findall(r"Epoch (\d)/2, step:(\d)/2, loss:[\d.]+, overflow:False, loss_scale:1.0, step cost:[\d.]+ms", printed)
    assert lines == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]
    names = {path.name for path in run.iterdir()}
    wanted = {f"segformer_mit_b0_{label}.safetensors" for label in (1, 2, "best")}
    assert names == wanted | {"metrics.jsonl", "curves.png", "run.lock"}
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in metrics if "loss" in entry] == [1, 2, 3, 4]
    mious = [entry["miou"] for entry in metrics if "miou" in entry]
    arrays, metadata = saved(run / "segformer_mit_b0_best.safetensors")
    assert float(metadata["miou"]) == max(mious) and metadata["variant"] == "b0" and metadata["numerics"] == "nvlabs"
    assert any(not np.array_equal(arrays[name], value) for name, value in init_arrays(SPEC, 0).items())

    best = str(run / "segformer_mit_b0_best.safetensors")
    assert main("evaluate", connect, flags(small | {"eval_ckpt_path": best})) == DONE
    printed = capsys.readouterr().out
    miou = float(re.search(r"===> mIoU: ([\d.]+), ckpt: segformer_mit_b0_best.safetensors", printed)[1])
    assert miou == max(mious), "the file scores what training said"

    output = tmp_path / "masks"
    assert main("infer", connect, flags(small | {"infer_ckpt_path": best, "infer_output_path": output})) == DONE
    results = sorted(path.name for path in output.iterdir())
    wanted = [f"val{i}{end}.png" for i in range(2) for end in ("", "_gray", "_color", "_overlap")]
    assert results == sorted(["legend.png", *wanted])
    counts = np.zeros((3, 3), np.int64)
    for index in range(2):
        truth = cv2.imread(str(folder / f"labels/val/val{index}.png"), cv2.IMREAD_GRAYSCALE)
        counts += confusion_matrix(truth, cv2.imread(str(output / f"val{index}_gray.png"), cv2.IMREAD_GRAYSCALE), 3)
    assert scores(counts).miou == pytest.approx(miou, abs=1e-12), "the masks are what was scored"


@pytest.mark.parametrize("connect", SLOW_IN_MINDSPORE, indirect=True)
def test_pretrained_weights_of_another_class_count(connect, folder, tmp_path, capsys):
    other = segformer("b0", class_count=5)
    save_weights(tmp_path / "five.safetensors", other, hot_arrays(other))
    paths = {"data_path": folder, "checkpoint_path": tmp_path / "run", "pretrained_ckpt_path": tmp_path / "five.safetensors"}
    still = {"load_ckpt": True, "lr": 0, "epoch_size": 1, "run_eval": False}
    assert main("train", connect, flags(TRAIN | still | paths)) == DONE
    assert "its head has 5 classes and class_num is 3, so the head starts fresh" in capsys.readouterr().out
    arrays, _ = load_weights(str(tmp_path / "run/segformer_mit_b0_1.safetensors"), SPEC)
    fresh, five = init_arrays(SPEC, 0), hot_arrays(other)
    for name, value in arrays.items():
        if "running" not in name:
            want = fresh if name.startswith("decode_head.") else five
            assert np.array_equal(value, want[name]), name


MISTAKES = {
    "no data path": ("train", {"data_path": "nowhere"}, "no such data path: nowhere"),
    "unknown key": ("train", {"learning_rate": "1"}, "unknown key 'learning_rate'"),
    "mistyped key": ("train", {"batch_size": "two"}, "batch_size in the command line is 'two'"),
    "unknown variant": ("train", {"backbone": "mit_b7"}, "unknown backbone 'mit_b7'; known: mit_b0"),
    "unknown profile": ("train", {"numerics": "paddle"}, "unknown numerics profile 'paddle'"),
    "class count": (
        "train",
        {"class_num": "4"},
        r"dataset.yaml names 3 classes \(ground, disc, bar\), and class_num is 4; set --class_num 3",
    ),
    "no pretrained file": ("train", {"load_ckpt": "True"}, "pretrained_ckpt_path is empty"),
    "missing pretrained file": ("train", {"load_ckpt": True, "pretrained_ckpt_path": "a.safetensors"}, "no such weight file: a"),
    "batch too large": ("train", {"batch_size": "9"}, "batch_size is 9"),
    "output not writable": ("train", {"checkpoint_path": "/proc/run"}, "cannot write in folder /proc/run"),
    "no weights to evaluate": ("evaluate", {}, "eval_ckpt_path is empty"),
    "no weights to infer": ("infer", {}, "infer_ckpt_path is empty"),
    "masks not writable": ("infer", {"infer_output_path": "/proc/masks"}, "cannot write in folder /proc/masks"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_sentence_before_anything_is_loaded(mistake, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command, arguments, message = MISTAKES[mistake]
    sound = TRAIN | {"checkpoint_path": tmp_path / "run"} if command == "train" else SMALL
    assert main(command, refuse, flags(sound | {"data_path": folder} | arguments)) == USERS_MISTAKE
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert re.search(message, printed.err), printed.err
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def spoilt(weights: Path, how: str) -> None:
    arrays = hot_arrays(SPEC)
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif how == "empty":
        weights.write_bytes(b"")
    elif how == "another variant":
        other = segformer("b1", class_count=3)
        save_weights(weights, other, init_arrays(other, 0))
    elif how == "another profile":
        other = segformer("b0", class_count=3, numerics="hf")
        save_weights(weights, other, arrays)
    elif how == "another class count":
        other = segformer("b0", class_count=5)
        save_weights(weights, other, init_arrays(other, 0))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "damaged or not a safetensors file"),
        ("empty", "is empty; fetch or write it again"),
        ("another variant", "has backbone mit_b1; the configuration has backbone mit_b0; set --backbone mit_b1"),
        ("another profile", "has numerics hf; the configuration has numerics nvlabs; set --numerics hf"),
        (
            "another class count",
            "has class_num 5; the configuration has class_num 3; the data has as many classes as class_num says",
        ),
    ],
)
def test_weights_that_do_not_fit(how, message, folder, weights, capsys):
    spoilt(weights, how)
    keys = SMALL | {"numerics": "nvlabs", "data_path": folder, "eval_ckpt_path": weights}
    assert main("evaluate", refuse, flags(keys)) == USERS_MISTAKE
    assert re.search(message, capsys.readouterr().err)


def test_a_bad_label_stops_training_with_its_name(connect, folder, tmp_path, capsys):
    cv2.imwrite(str(folder / "labels/train/train3.png"), np.full((64, 96), 9, np.uint8))
    run = tmp_path / "run"
    assert main("train", connect, flags(TRAIN | {"data_path": folder, "checkpoint_path": run})) == USERS_MISTAKE
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.fullmatch(r"error: .*train3.png has label 9 at row 0, column 0; expected a class index 0..2 .*", error)
    assert not list(run.glob("*.safetensors"))


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_a_missing_framework_is_one_sentence(backend, folder, weights):
    """In a process whose imports of the framework fail as if it were not installed."""
    program = (
        f"import sys; sys.modules[{backend!r}] = None; from backend_{backend}.device import connect; "
        "from segformer_core.cli import main; sys.exit(main('evaluate', connect, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, *flags(SMALL | {"data_path": folder, "eval_ckpt_path": weights})]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == USERS_MISTAKE
    assert re.fullmatch(
        rf"error: \w+ is not installed: run pip install -c constraints.txt '.\[{backend}\]' in the project's folder\n",
        done.stderr,
    )


def test_help_lists_the_keys(capsys):
    assert main("train", refuse, ["--help"]) == DONE
    assert "--save_checkpoint_epoch_interval" in capsys.readouterr().out


class FakeLearner:
    """Counts what the loop asks of it."""

    def __init__(self):
        self.steps: list[tuple[int, tuple[float, ...]]] = []

    def arrays(self):
        return init_arrays(SPEC, 0)

    def step(self, batch, keep, learning_rates):
        self.steps.append((batch, tuple(learning_rates)))
        return Step(loss=1.0)

    def optimizer_arrays(self):
        return {}

    def averaged(self):
        return nullcontext()


def test_what_the_loop_saves_and_evaluates_and_when(folder, tmp_path):
    config = load_config(
        flags(TRAIN | {"epoch_size": 5, "save_checkpoint_epoch_interval": 3, "eval_start_epoch": 2, "eval_interval": 2})
    )
    stream = TrainingStream(open_dataset(str(folder), "train"), config.data, 0, 2, 5)
    learner, evaluated, mious = FakeLearner(), [], iter([0.2, float("nan"), 0.1])
    log = Log()

    def evaluate(name: str) -> dict[str, float]:
        evaluated.append(name)
        return {"miou": next(mious)}

    checkpoints = Checkpoints(str(tmp_path / "run"), SPEC, config, {})
    log.record(checkpoints.folder, 0, tensorboard=False)
    groups = parameter_groups(SPEC, config.optimizer)
    train(Run(learner, SPEC, stream, groups, config, checkpoints, evaluate, log), lambda first: range(first, 10), StopRequest())
    log.close()
    assert len(learner.steps) == 10
    assert all(rates[1] == rates[0] and rates[2] == pytest.approx(10 * rates[0]) for _, rates in learner.steps)
    assert learner.steps[1][1][0] == pytest.approx(1e-3 * 0.9), "poly decay over all ten steps"
    assert evaluated == ["epoch 2", "epoch 4", "segformer_mit_b0_5.safetensors"]
    names = {path.name for path in (tmp_path / "run").glob("*.safetensors")}
    assert names == {f"segformer_mit_b0_{label}.safetensors" for label in (3, 5, "best")}
    best = saved(tmp_path / "run/segformer_mit_b0_best.safetensors")[1]
    assert (best["step"], best["miou"]) == ("4", "0.2"), "neither a NaN nor a lower mIoU is best"
