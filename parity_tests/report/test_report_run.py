"""The report of a real run of pytest: what its tests recorded, in one process or several, and the exit code."""

import subprocess
import sys

import pytest

from parity_tests import ROOT
from parity_tests.report.documents import BEGIN, END
from parity_tests.report.writing import DATA, PAGE, is_report, read
from parity_tests.training_runs import FULL

HOOKS = "from parity_tests.conftest import pytest_addoption, pytest_configure\n"
TESTS = """
import pytest
from parity_tests.support import assert_close, check_control, check_difference
import numpy as np

@pytest.mark.compares("mindspore, {mode}", "torch")
@pytest.mark.parametrize("mode", ["graph", "pynative"])
def test_close(mode):
    assert_close("an array", np.float32([1, 2]), np.float32([1, 2 + 2e-6]), "leaf")

@pytest.mark.compares("{backend}", "numpy")
@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_losses(backend):
    check_difference("losses", 2e-5 if backend == "torch" else 1e-5, "losses of twenty steps")

def test_control():
    check_control("a bias", 1e-3, "leaf", times=100)
"""
BEYOND = """
@pytest.mark.compares("torch", "numpy")
def test_far():
    check_difference("far", 1e-4, "leaf")
"""
UNSEEN = """
def test_blind():
    check_control("an eps", 4e-6, "leaf")
"""
WEAK = """
def test_weak():
    check_control("an eps", 4e-4, "leaf", times=100)
"""

BROKEN = """
def test_broken():
    raise RuntimeError("broken")
"""


def run(folder, tests: str, *words: str) -> tuple[int, str, dict]:
    """(exit code, what was said, the report) of `python -m parity_tests.report` with these tests instead of the ladder's."""
    (folder / "conftest.py").write_text(HOOKS)
    (folder / "test_made_up.py").write_text(tests)
    program = (
        "import sys; from pathlib import Path; from parity_tests.report.__main__ import main; "
        "sys.exit(main(sys.argv[2:], [Path(sys.argv[1])]))"
    )
    words = (str(folder / "test_made_up.py"), "--output", str(folder / "out"), *words)
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr, read(folder / "out")


@pytest.mark.parametrize("processes", ["2", *(["1"] if FULL else [])])
def test_what_tests_record_is_in_the_report(processes, tmp_path, need_torch):
    (tmp_path / "page.md").write_text(f"{BEGIN}\n{END}\n")
    words = ("--processes", processes, "--document", str(tmp_path / "page.md"))
    code, said, report = run(tmp_path, TESTS, *words)
    assert code == 0, said
    assert "parity: leaf" in said and "largest 1.9e-06, allowed 5e-06" in said
    assert report["verdict"] == "incomplete" and report["problems"] == []
    assert report["tests"] == {"passed": 5, "failed": 0, "skipped": 0}
    assert "loss: nothing was compared" in report["gaps"] and (tmp_path / "out" / PAGE).is_file()
    assert "Verdict of this run: **incomplete**" in (tmp_path / "page.md").read_text()


def test_a_control_that_is_not_seen_fails_the_command(tmp_path, need_torch):
    code, said, report = run(tmp_path, TESTS + UNSEEN, "--processes", "1")
    assert (code, report["verdict"], len(report["problems"])) == (1, "failed", 1), said
    assert "an eps: the comparison of leaf did not see 4e-06" in report["problems"][0]


def test_every_fault_is_told(tmp_path, need_torch):
    code, said, report = run(tmp_path, TESTS + BEYOND + WEAK + BROKEN, "--processes", "1")
    assert (code, report["verdict"]) == (1, "failed"), said
    far, weak, broken = report["problems"]
    assert far.startswith("leaf of torch against numpy: the largest difference is 0.0001, allowed 5e-06 (far, ")
    assert weak.startswith("an eps: the comparison of leaf did not see 0.0004")
    assert broken.endswith("::test_broken failed: RuntimeError: broken")


def test_a_run_that_dies_leaves_no_older_report(tmp_path, need_torch):
    out = tmp_path / "out"
    out.mkdir()
    (out / DATA).write_text('{"format": 1}')
    (out / PAGE).write_text("of an earlier run")
    assert is_report(out)
    with pytest.raises(FileNotFoundError):
        run(tmp_path, TESTS + "\nimport os\nos._exit(3)\n", "--processes", "1")
    assert not list(out.iterdir())
