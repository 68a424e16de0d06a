"""Which frameworks the suite runs with.

A missing framework is a printed skip, unless SEGFORMER_BACKENDS (`torch,mindspore`) names it: then it is a failure.
"""

import importlib.util
import os
import signal
import time
from pathlib import Path

import pytest

from backend_mindspore.device import ISA, prepare
from parity_tests.report import plugin

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it in the background: the tests' own processes would
    signal.signal(signal.SIGINT, signal.default_int_handler)  # inherit it

if "PYTEST_XDIST_WORKER" in os.environ:  # each of several workers has a core of its own: more threads would only wait for it
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REQUIRED = [name for name in os.environ.get("SEGFORMER_BACKENDS", "").split(",") if name]

if importlib.util.find_spec("mindspore"):
    prepare("Ascend" if os.environ.get("SEGFORMER_DEVICE", "CPU").lower() == "ascend" else "CPU")  # before either loads oneDNN

LIMIT = os.environ.get(ISA)


@pytest.fixture(autouse=True)
def as_many_instructions_as_at_first() -> None:
    """A MINDIR that an earlier test opened limits oneDNN in all that its process starts: their runs would round otherwise."""
    os.environ.pop(ISA, None)
    if LIMIT is not None:
        os.environ[ISA] = LIMIT


def pytest_addoption(parser) -> None:
    parser.addoption(plugin.OPTION, metavar="FOLDER", help="write what was compared to FOLDER/report.json and FOLDER/index.html")


def pytest_configure(config) -> None:
    config.addinivalue_line("markers", plugin.MARKER)
    config.pluginmanager.register(plugin.Reporter(config.getoption(plugin.OPTION)), "parity report")


def need(framework: str) -> None:
    if importlib.util.find_spec(framework) is not None:
        return
    if framework in REQUIRED:
        pytest.fail(f"{framework} is not installed, but SEGFORMER_BACKENDS requires it")
    pytest.skip(f"{framework} is not installed")


@pytest.fixture
def need_torch() -> None:
    need("torch")


@pytest.fixture
def need_mindspore() -> None:
    need("mindspore")


@pytest.fixture(scope="session")
def run_keys(tmp_path_factory) -> dict[str, object]:
    """The configuration of ten steps with drop path, dropout, augmentation and averaged weights, evaluated twice."""
    from parity_tests.folder_dataset import write_folder_dataset
    from parity_tests.training_runs import EPOCHS, SMALL

    root = write_folder_dataset(tmp_path_factory.mktemp("data"), images=8, validation=3)
    cache = tmp_path_factory.mktemp("compiled")
    evaluation = {"eval_interval": 3, "eval_loss": True, "ema_decay": 0.5}
    return SMALL | evaluation | {"data_path": root, "epoch_size": EPOCHS, "compile_cache": cache, "keep_checkpoints": 2}


@pytest.fixture(scope="session")
def undisturbed(run_keys, tmp_path_factory):
    """backend -> (folder, seconds) of a run in one process that nothing happened to."""
    from parity_tests.training_runs import run

    runs: dict[str, tuple[Path, float]] = {}

    def get(backend: str) -> tuple[Path, float]:
        need(backend)
        if backend not in runs:
            folder = tmp_path_factory.mktemp(backend)
            since = time.monotonic()
            run(f"backend_{backend}", run_keys | {"checkpoint_path": folder})
            runs[backend] = folder, time.monotonic() - since
        return runs[backend]

    return get
