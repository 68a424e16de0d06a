"""compare_training: the same run by several implementations, what it writes, what it notices, and its mistakes."""

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.tolerances import tolerance
from parity_tests.training_runs import FULL, SMALL, curve, flags
from segformer_core.commands.compare_training import TRAINING_CONTESTANTS, own_keys, read_arguments, table
from segformer_core.errors import UserError
from segformer_core.training.comparison import Curves, compared, draw_compared, smoothed

EPOCHS = 3 if FULL else 1
STEPS = 2 * EPOCHS
KEYS = SMALL | {"epoch_size": EPOCHS, "eval_interval": EPOCHS}
del KEYS["train_log_interval"]


def started(arguments: list[str], python: str = sys.executable) -> subprocess.CompletedProcess:
    words = [python, str(ROOT / "tools/compare_training.py"), *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_folder_dataset(tmp_path_factory.mktemp("data"), images=8, validation=2)


def test_contestants_train_alike_and_the_same_command_goes_on(data, tmp_path, need_torch):
    pytest.importorskip("transformers")
    names = [name for name in TRAINING_CONTESTANTS if name != "mindspore" or (FULL and importlib.util.find_spec("mindspore"))]
    words = ["--contestants", ",".join(names), "--output", str(tmp_path), *flags(KEYS | {"data_path": data})]
    done = started(words)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert list(found["contestants"]) == names and found["contestants"]["transformers"]["versions"]["transformers"]
    for pair in found["pairs"]:
        assert pair["steps"] == STEPS and 0 <= pair["first_mean"] <= pair["first_largest"] == pair["largest"]
        assert pair["largest"] <= tolerance("losses of twenty steps"), pair
    for name in names:
        assert list(curve(tmp_path / name, "loss")) == list(range(1, STEPS + 1))
        assert (tmp_path / name / "segformer_mit_b0_best.safetensors").is_file()
    mious = [about["miou"][str(STEPS)] for about in found["contestants"].values()]
    assert min(mious) > 0 and max(mious) - min(mious) <= tolerance("mIoU beside transformers")
    picture = cv2.imread(str(tmp_path / "losses.png"))
    assert picture.shape[0] > 500 and np.ptp(picture) == 255
    if not FULL:
        return
    again = started(words)
    assert again.returncode == 0 and again.stdout.count("nothing is left to train") == len(names)
    assert json.loads((tmp_path / "comparison.json").read_text())["pairs"] == found["pairs"]
    other = started([*words, "--seed", "1"])
    assert other.returncode == 2 and "seed is 0 there and 1 here" in other.stderr
    assert other.stderr.rstrip().endswith(
        "torch ended with exit code 2, and its own message says why; mend that, or give another --output"
    )


def test_what_contestants_get_and_what_may_be_said_otherwise(tmp_path):
    _, keys, config = read_arguments(["--contestants", "torch,mindspore", "--lr=1e-3"])
    assert keys == {"train_log_interval": "1", "precision": "fp32", "lr": "1e-3"} and config.model.numerics == "nvlabs"
    options, keys, config = read_arguments(["--precision", "bf16", "--device_target", "CUDA"])
    assert (
        options.contestants == tuple(TRAINING_CONTESTANTS)
        and config.model.numerics == "hf"
        and config.runtime.precision == "bf16"
    )
    assert own_keys("torch", tmp_path, config) == {"checkpoint_path": str(tmp_path / "torch")}
    assert own_keys("mindspore", tmp_path, config) == {"checkpoint_path": str(tmp_path / "mindspore"), "device_target": "CPU"}


MISTAKES = {
    "one contestant": (["--contestants", "torch"], r"'torch': expected two or more of torch,mindspore,transformers, each once"),
    "twice the same": (["--contestants", "torch,torch"], r"'torch,torch': expected two or more"),
    "an unknown one": (["--contestants", "torch,keras"], r"'torch,keras': expected two or more"),
    "a folder of all": (["--checkpoint_path", "runs/a"], r"^--checkpoint_path is each contestant's own; name the folder above"),
    "an unknown key": (["--learning_rte", "1"], r"learning_rte"),
    "constants that transformers has not": (
        ["--numerics", "nvlabs"],
        r"^numerics is nvlabs, and transformers' network has those of hf; leave --numerics out, or transformers with --contest",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_one_sentence(mistake):
    words, message = MISTAKES[mistake]
    with pytest.raises(UserError, match=message) as caught:
        read_arguments(words)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_told_before_any_contestant_trains(tmp_path, need_torch):
    words = ["--contestants", "torch,transformers", "--output", str(tmp_path / "out"), "--transformers_python", "/bin/ls"]
    done = started(words)
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert done.stderr.startswith("error: /bin/ls is no Python in which transformers can train (")
    assert done.stderr.count("\n") == 1 and len(done.stderr) < 400


def test_a_contestant_that_fails_ends_the_comparison(tmp_path, need_torch):
    """What only the contestant can know: here, what is in the data's folder."""
    pytest.importorskip("transformers")
    (tmp_path / "data").mkdir()
    words = ["--contestants", "torch,transformers", "--output", str(tmp_path / "out")]
    done = started([*words, *flags(KEYS | {"data_path": tmp_path / "data"})])
    assert done.returncode == 2 and "\ntorch: python" in done.stdout and "\ntransformers: python" not in done.stdout
    first, last = done.stderr.strip().splitlines()[-2:]
    assert first.startswith(f"error: {tmp_path / 'data'}")
    assert last.startswith("error: torch ended with exit code 2, and its own message says why; mend that, or ")


@pytest.mark.skipif(not FULL, reason="trains for as long as it is let; make test-all runs it")
def test_a_signal_reaches_the_contestant_which_saves_its_run(data, tmp_path, need_torch):
    pytest.importorskip("transformers")
    words = [
        "--contestants",
        "transformers,torch",
        "--output",
        str(tmp_path),
        *flags(KEYS | {"data_path": data, "epoch_size": 500}),
    ]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tools/compare_training.py"), *words, "--run_eval", "False"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Epoch 1/"):
            break
    process.send_signal(signal.SIGTERM)  # to the command alone
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 128 + signal.SIGTERM
    assert "the same command goes on from there" in said and said.rstrip().endswith("stopped by SIGTERM")
    assert list((tmp_path / "transformers").glob("segformer_mit_b0_*.safetensors")) and not (tmp_path / "torch").exists()


def curves(*losses: float, miou: float | None = 0.5) -> Curves:
    return Curves(dict(enumerate(losses, start=1)), {} if miou is None else {len(losses): miou}, 0.1)


def test_differences_are_of_the_steps_that_two_runs_share():
    one = curves(*[1.0] * 30)
    other = Curves({**dict.fromkeys(range(1, 41), 1.0), 3: 1.25, 25: 0.5}, {}, None)
    [pair] = compared({"one": one, "other": other})
    assert (pair.pair, pair.steps) == (("one", "other"), 30)
    assert (pair.first_largest, pair.largest) == (0.25, 0.5)
    assert (pair.first_mean, pair.mean) == pytest.approx((0.25 / 20, 0.75 / 30))
    late = Curves({30: 1.0}, {}, None)
    [pair] = compared({"one": one, "late": late})
    assert (pair.steps, pair.first_largest, pair.largest) == (1, None, 0.0)
    assert compared({"one": one, "none": Curves({}, {}, None)}) == []


def test_the_table_has_a_row_for_each_pair_and_each_contestant():
    runs = {"torch": curves(2.0, 1.0, miou=0.25), "mindspore": curves(2.0, 1.5, miou=None)}
    lines = table(runs, compared(runs))
    assert lines[0].split()[3] == "steps" and {len(line) for line in lines[:2]} == {len(lines[0])}
    assert lines[1].split() == ["torch", "–", "mindspore", "2", "5.0e-01", "2.5e-01", "5.0e-01", "2.5e-01"]
    assert lines[-2].split() == ["torch", "1.00000", "0.25000", "0.25000", "0.100"]
    assert lines[-1].split() == ["mindspore", "1.50000", "–", "–", "0.100"]


def test_each_pair_has_its_own_steps_and_none_has_no_heading():
    runs = {"torch": curves(2.0, 1.0), "mindspore": curves(2.0), "transformers": curves(2.0, 1.0)}
    assert [line.split()[3] for line in table(runs, compared(runs))[:4]] == ["steps", "1", "2", "1"]
    empty = {"torch": curves(), "mindspore": curves()}
    assert [line.split()[0] for line in table(empty, compared(empty))] == ["contestant", "torch", "mindspore"]


def test_equal_curves_and_empty_ones_are_drawn_too(tmp_path):
    for name, runs in {"equal": [curves(1.0, 0.5)] * 2, "empty": [Curves({}, {}, None)] * 2}.items():
        draw_compared(dict(zip("ab", runs, strict=True)), tmp_path / f"{name}.png")
        assert cv2.imread(str(tmp_path / f"{name}.png")) is not None


def test_smoothing_is_a_mean_over_neighbours():
    assert smoothed([3.0, 1.0]).tolist() == [3.0, 1.0]
    got = smoothed([float(step % 2) for step in range(200)])
    assert got.shape == (200,) and np.abs(got - 0.5).max() < 0.2
    assert got[100] == pytest.approx(np.mean([step % 2 for step in range(98, 103)]))
