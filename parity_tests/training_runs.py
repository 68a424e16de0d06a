"""Training runs in processes of their own, as a user starts them: small enough to be killed and resumed many times."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors

from parity_tests import ROOT

SCRIPTS = Path(sys.executable).parent
FULL = os.environ.get("SEGFORMER_TESTS") == "full"
"""`make test-all` runs the slow tests whole, `make test` a quick form of them."""

SLOW_IN_MINDSPORE = ["torch", *(["mindspore"] if FULL else [])]
"""The backends of a test for which MindSpore compiles for a minute or more, and which another test covers in part."""

long = pytest.mark.skipif(not FULL, reason="long: make test-all runs it")

EPOCHS, STEPS = 5, 10

SMALL = {
    "backbone": "mit_b0",
    "class_num": 3,
    "base_size": [64, 96],
    "crop_size": [64, 96],
    "device_target": "CPU",
    "load_ckpt": False,
    "dataset_num_parallel_workers": 1,
    "batch_size": 4,
    "lr": 1e-3,
    "warmup_steps": 0.4,
    "train_log_interval": 2,
}


def flags(keys: Mapping[str, object]) -> list[str]:
    return [word for key, value in keys.items() for word in (f"--{key}", str(value))]


def start(
    backend: str, keys: Mapping[str, object], prelude: str = "", launcher: tuple[str, ...] = (), command: str = "train"
) -> subprocess.Popen:
    """`python -m BACKEND.COMMAND`, after the statements of `prelude`; all its processes are a group of their own."""
    program = f"{prelude}\nimport runpy; runpy.run_module('{backend}.{command}', run_name='__main__')"
    words = [sys.executable, "-c", program] if prelude else [*(launcher or [sys.executable]), "-m", f"{backend}.{command}"]
    return subprocess.Popen(
        [*words, *flags(keys)],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen) -> tuple[int, str]:
    """(exit code, everything it said)."""
    said = process.communicate()[0]
    return process.returncode, said


def run(backend: str, keys: Mapping[str, object], prelude: str = "", launcher: tuple[str, ...] = ()) -> str:
    """What a run that must succeed says."""
    code, said = finished(start(backend, keys, prelude, launcher))
    assert code == 0, said
    return said


def saved(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(arrays, metadata), read by the library itself."""
    with safetensors.safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def curve(folder: Path, key: str) -> dict[int, float]:
    """Step -> value, from metrics.jsonl."""
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {entry["step"]: entry[key] for entry in entries if key in entry}


def assert_same_run(got: Path, want: Path, label: int | str) -> None:
    """Two folders hold the same run: weights, moments, step, best weights, losses and scores, to the bit."""
    for name in (f"segformer_mit_b0_{label}.safetensors", "segformer_mit_b0_best.safetensors"):
        (arrays, about), (wanted, wanted_about) = saved(got / name), saved(want / name)
        assert arrays.keys() == wanted.keys()
        assert [key for key in wanted if not np.array_equal(arrays[key], wanted[key])] == []
        assert (about["step"], about["sha256"]) == (wanted_about["step"], wanted_about["sha256"])
    for key in ("loss", "learning_rate", "miou", "val_loss"):
        assert curve(got, key) == curve(want, key), key
