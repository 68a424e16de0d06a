"""Which frameworks the suite runs with.

A missing framework is a printed skip, unless SEGFORMER_BACKENDS (`torch,mindspore`) names it: then it is a failure.
"""

import importlib.util
import os

import pytest

REQUIRED = [name for name in os.environ.get("SEGFORMER_BACKENDS", "").split(",") if name]

if importlib.util.find_spec("mindspore"):
    from backend_mindspore.device import prepare

    prepare("CPU" if os.environ.get("SEGFORMER_DEVICE", "CPU") == "CPU" else "Ascend")  # before either framework loads oneDNN


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


def pytest_terminal_summary(terminalreporter) -> None:
    from parity_tests.support import DEVICE, MEASURED
    from parity_tests.tolerances import tolerance

    for rung, found in sorted(MEASURED.items()):
        terminalreporter.write_line(f"parity: {rung:<28} largest {found:.2g}, allowed {tolerance(rung, DEVICE):.2g}")
