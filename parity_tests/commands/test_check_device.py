"""`segformer check_device` with stand-ins for what an Ascend host has: version files, npu-smi, and a process that dies."""

import json
import os
from multiprocessing.connection import Connection
from types import SimpleNamespace

import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.training_runs import FULL
from segformer_core.cli import DONE, INCOMPLETE, USERS_MISTAKE, program
from segformer_core.commands import check_device, machine
from segformer_core.commands.check_device import CHECKS, FAILED, NOT_RUN, PASSED, Trial, attempt, tried

NPU_SMI = """
+------------------------------------------------------------------------------------------------+
| npu-smi 25.5.0                   Version: 25.5.0                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B4               | OK            | 84.4        42                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          2782 / 32768         |
+===========================+===============+====================================================+
| 1     910B4               | Warning       | 83.0        40                0    / 0             |
| 0                         | 0000:C2:00.0  | 0           0    / 0          2782 / 32768         |
+===========================+===============+====================================================+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 0       0                 | 4711          | somebody_elses           | 2000                    |
+===========================+===============+====================================================+
"""
CARDS = [{"npu": 0, "name": "910B4", "health": "OK"}, {"npu": 1, "name": "910B4", "health": "Warning"}]


@pytest.fixture
def npu_smi(tmp_path, monkeypatch):
    """Puts a stand-in on PATH that prints `text` and ends with `code`."""

    def install(text: str, code: int = 0) -> None:
        tool = tmp_path / "bin/npu-smi"
        tool.parent.mkdir()
        tool.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")

    return install


def test_the_parts_of_cann_are_found_by_their_files(tmp_path, npu_smi):
    files = {
        "driver": "Version=25.5.0\n",
        "firmware": "Version=7.8.0.5\n",
        "ascend-toolkit/latest/compiler": "# of 8.3\nVersion=8.3.0.1\nversion_dir=8.3\n",
        "cann-9.0.0/compiler": "Version=9.0.0\n",
        "nnae/latest/compiler": "nothing is stated\n",
        "home/compiler": "Version=9.1.0\n",
    }
    for folder, text in files.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "version.info").write_text(text)
    npu_smi(NPU_SMI)
    found = machine.ascend(tmp_path, home=str(tmp_path / "home"))
    stated = {path.removeprefix(f"{tmp_path}/").removesuffix("/version.info"): text for path, text in found["versions"].items()}
    assert stated == {
        "driver": "25.5.0",
        "firmware": "7.8.0.5",
        "ascend-toolkit/latest/compiler": "8.3.0.1",
        "cann-9.0.0/compiler": "9.0.0",
        "home/compiler": "9.1.0",
    }
    assert found["npu_smi"] == {"version": "25.5.0", "cards": CARDS}
    assert "somebody" not in json.dumps(found)


def test_what_is_not_there_is_said(tmp_path, monkeypatch, npu_smi):
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    assert machine.ascend(tmp_path / "none")["versions"] == {} and machine.ascend(tmp_path)["npu_smi"] == "not found"
    monkeypatch.undo()
    npu_smi("dcmi module initialize failed\nret is -8005", 3)
    assert machine.ascend(tmp_path)["npu_smi"] == "ended with exit code 3: dcmi module initialize failed\\nret is -8005"
    assert machine.npu_smi_answer("another form") == {"version": None, "cards": []}


def test_only_the_variables_that_matter_are_told():
    wanted = {"ASCEND_RT_VISIBLE_DEVICES": "0,1", "DEVICE_ID": "3", "RANK_TABLE_FILE": "t.json", "MS_ROLE": "MS_WORKER"}
    wanted |= {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    others = {
        "HOME": "/root",
        "AWS_KEY": "x",
        "MS_CLIENT_SECRET": "x",
        "MS_GRAPH_TOKEN": "x",
        "MY_DEVICE_ID": "1",
        "PATH": "/bin",
    }
    assert machine.environment(others | wanted) == wanted
    assert machine.environment({"MS_X": "a\nb" + "c" * 999})["MS_X"].startswith("a\\nb") and len(machine.environment(wanted)) == 5


def test_without_an_ascend_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEVICE_ID", "5")
    assert program(["check_device", "--device_target", "Ascend"]) == USERS_MISTAKE
    report = json.loads((tmp_path / "check_device.json").read_text())
    assert {name: check["result"] for name, check in report["checks"].items()} == dict.fromkeys(CHECKS, NOT_RUN)
    assert "there is no Ascend device" in report["checks"]["device"]["why"]
    assert report["environment"]["DEVICE_ID"] == "5" and set(report["versions"]) >= {
        "segformer",
        "python",
        "mindspore",
        "torch_npu",
    }
    said = capsys.readouterr().err
    assert said.startswith("error: no check was run: device_target Ascend but there is no Ascend device") and "--dry_run" in said


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_a_dry_run_tries_the_cpu(backend, tmp_path, capfd):
    need(backend)
    if backend == "mindspore" and not FULL:
        pytest.skip("half a minute: SEGFORMER_TESTS=full runs it")
    output = tmp_path / "report.json"
    arguments = ["check_device", "--backend", backend, "--device_target", "Ascend", "--dry_run", "--output", str(output)]
    assert program(arguments) == DONE
    report = json.loads(output.read_text())
    results = {name: check["result"] for name, check in report["checks"].items()}
    auto = {"training_step_auto": NOT_RUN, "reference": NOT_RUN if backend == "torch" else PASSED}
    assert report["dry_run"] and results == dict.fromkeys(CHECKS, PASSED) | auto
    assert report["checks"]["forward"]["seconds"] >= sum(report["checks"]["forward"]["first_and_second_seconds"]) - 0.01
    assert "a dry run on the CPU says nothing about another device" in capfd.readouterr().out


@pytest.fixture
def trial(need_torch) -> Trial:
    """A device that computes as PyTorch on a CPU does and has another name."""
    trial = Trial("torch", "CPU")
    assert [attempt(trial, name)["result"] for name in ("device", "forward", "training_step")] == [PASSED] * 3
    trial.found = "another device"
    return trial


@pytest.mark.parametrize(("what", "amount", "result"), [("logits", 0, PASSED), ("logits", 1e-2, FAILED), ("loss", 1e-2, FAILED)])
def test_a_difference_from_the_reference_is_found(what, amount, result, trial):
    setattr(trial, what, getattr(trial, what) + amount)
    found = attempt(trial, "reference")
    assert found["result"] == result
    assert not amount or "expected at most 0.001" in found["why"]


def test_without_a_result_there_is_nothing_to_compare(trial):
    del trial.loss
    assert attempt(trial, "reference") == {"result": NOT_RUN, "why": "there is no result to compare"}


STEP = {"loss": 1.0, "overflowed": 0.0}


@pytest.mark.parametrize(
    ("logits", "step", "change", "why"),
    [
        (np.nan, STEP, 0, "logits are not finite"),
        (0, STEP | {"loss": np.nan}, 1, "the loss is nan"),
        (0, STEP | {"overflowed": 1.0}, 1, "the gradient is not finite"),
        (0, STEP, np.nan, "weights are not finite after the step"),
        (0, STEP, 0, "the step changed no weight"),
    ],
)
def test_what_is_wrong_is_named(logits, step, change, why, trial):
    arrays = trial.learner.arrays()
    after = {name: array + np.float32(1 if "running" in name else change) for name, array in arrays.items()}
    states = iter([arrays, after])
    trial.learner = SimpleNamespace(
        forward=lambda _: trial.logits + logits, step=lambda *_: SimpleNamespace(**step), arrays=lambda: next(states)
    )
    name = "forward" if "logits" in why else "training_step"
    assert attempt(trial, name) == {"result": FAILED, "why": why}


def test_an_error_of_the_framework_is_a_result_and_the_exit_code_1(tmp_path, monkeypatch, trial):
    trial.learner = SimpleNamespace(forward=lambda _: (_ for _ in ()).throw(RuntimeError("EZ9999: Inner Error!\n[task]")))
    found = attempt(trial, "forward")
    assert found == {"result": FAILED, "why": "RuntimeError: EZ9999: Inner Error!\\n[task]"}
    monkeypatch.setattr(check_device, "tried", lambda *_: {"device": {"result": PASSED}, "forward": found})
    assert program(["check_device", "--output", str(tmp_path / "report.json")]) == INCOMPLETE


def dies(connection: Connection, backend: str, target: str) -> None:
    connection.send(("device", {"result": PASSED}))
    os.abort()


def test_a_process_that_dies_is_a_result():
    results = tried("torch", "CPU", dies)
    assert [results[name]["result"] for name in CHECKS] == [PASSED, FAILED, *[NOT_RUN] * (len(CHECKS) - 2)]
    assert results["forward"]["why"] == "the process ended with code -6"
