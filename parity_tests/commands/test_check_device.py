"""`segformer check_device`: the report, its page, and stand-ins for what an Ascend host has: version files and npu-smi."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parity_tests import ROOT
from parity_tests.commands.launcher_bench import ended, wait_for
from parity_tests.conftest import need
from parity_tests.training_runs import FULL
from segformer_core.cli import DONE, INCOMPLETE, USERS_MISTAKE, program
from segformer_core.commands import check_device, machine
from segformer_core.commands.check_device import ALL, QUICK
from segformer_core.device_check.outcome import FAILED, NOT_RUN, PASSED
from segformer_core.device_check.page import MARK, WHAT

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


def report_of(path: Path) -> dict:
    """The JSON file's; the page beside it must hold the same."""
    report = json.loads(path.read_text())
    page = path.with_suffix(".html").read_text(encoding="utf-8")
    embedded = re.search(r'<script type="application/json" id="report">(.*?)</script>', page)
    assert embedded and json.loads(embedded[1]) == report
    assert MARK in page and not re.search(r"(?:src|href)=|url\(", page), "it needs no other file"
    for name, check in report["checks"].items():
        assert re.search(rf'<th scope="row">{name}<small>.*\n.*class="verdict">{check["result"]}</td>', page), name
    return report


def test_without_an_ascend_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEVICE_ID", "5")
    assert program(["check_device", "--device_target", "Ascend", "--checks", "all"]) == USERS_MISTAKE
    report = report_of(tmp_path / "check_device.json")
    assert {name: check["result"] for name, check in report["checks"].items()} == dict.fromkeys(ALL, NOT_RUN)
    assert "there is no Ascend device" in report["checks"]["device"]["why"]
    assert report["checks"]["ladder"]["why"] == "the device cannot be used"
    assert report["environment"]["DEVICE_ID"] == "5"
    assert set(report["versions"]) >= {"segformer", "python", "mindspore", "torch_npu"}
    said = capsys.readouterr().err
    assert said.startswith("error: no check was run: device_target Ascend but there is no Ascend device") and "--dry_run" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["check_device.html", "check_device.json"]


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_a_dry_run_tries_the_cpu(backend, tmp_path, monkeypatch, capfd):
    """All of `make check-ascend`; with MindSpore it takes two minutes, so `make test` leaves the programs to PyTorch."""
    need(backend)
    work = tmp_path / "temporary"
    work.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(work))
    monkeypatch.setattr("tempfile.tempdir", None)
    checks = ALL if FULL or backend == "torch" else ("versions", "device", "overflow", "attention", "rank_table")
    arguments = ["check_device", "--backend", backend, "--device_target", "Ascend", "--dry_run"]
    assert program([*arguments, "--checks", "all" if checks == ALL else ",".join(checks)]) == DONE, capfd.readouterr().out
    report = report_of(tmp_path / "check_device.json")
    results = {name: check["result"] for name, check in report["checks"].items()}
    absent = ("versions", "rank_table", "training_step_auto", "reference" if backend == "torch" else "attention")
    assert report["dry_run"] and results == {name: NOT_RUN if name in absent else PASSED for name in checks}
    assert "a dry run on the CPU says nothing about another device" in capfd.readouterr().out
    assert report["checks"]["overflow"]["scale_after"] == report["checks"]["overflow"]["scale"] / 2
    if checks == ALL:
        assert report["checks"]["forward"]["seconds"] >= sum(report["checks"]["forward"]["first_and_second_seconds"]) - 0.01
        assert report["checks"]["two_cards"]["largest_difference"] <= 1e-5
        assert report["checks"]["epoch"]["steps"] == 4 and report["checks"]["epoch"]["peak_memory_gb"] > 0.1
        assert report["checks"]["ladder"]["passed"] == report["checks"]["ladder"]["tests"] > 0
        assert report["checks"]["ladder"]["largest"]["leaf"][0] > 0
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left == ["check_device.html", "check_device.json", "temporary"], "nothing else is left"


def test_a_check_that_fails_is_the_exit_code_1(tmp_path, monkeypatch):
    failed = {"result": FAILED, "why": "RuntimeError: EZ9999: Inner Error!", "output": "the <end>"}
    doubtful = {"result": "warning", "why": "does not fit"}
    for more, code in (({}, DONE), ({"forward": failed}, INCOMPLETE)):
        found = {"versions": doubtful, "device": {"result": PASSED, "device": "Ascend"}, **more}
        monkeypatch.setattr(check_device, "outcomes", lambda *_, found=found: iter(found.items()))
        assert program(["check_device", "--output", str(tmp_path / "report.json")]) == code
    report_of(tmp_path / "report.json")
    page = (tmp_path / "report.html").read_text()
    assert "<pre>the &lt;end&gt;</pre>" in page and "<h1>mindspore on Ascend</h1>" in page


def test_what_is_known_is_written_after_each_check(tmp_path, monkeypatch):
    """The machine may go down with the next one."""
    known = []

    def outcomes(*_):
        known.append(report_of(tmp_path / "report.json")["checks"])
        yield "device", {"result": PASSED, "device": "Ascend"}
        known.append(report_of(tmp_path / "report.json")["checks"])

    monkeypatch.setattr(check_device, "outcomes", outcomes)
    assert program(["check_device", "--output", str(tmp_path / "report.json")]) == DONE
    assert known == [{}, {"device": {"result": PASSED, "device": "Ascend"}}]


@pytest.mark.parametrize(
    ("output", "there", "why"),
    [
        ("a.html", "", "the page beside it is the .html"),
        ("report.json", "<title>an evaluation</title>", "was not made by check_device; name another --output"),
    ],
)
def test_no_file_of_somebody_else_is_replaced(output, there, why, tmp_path, capsys):
    if there:
        (tmp_path / "report.html").write_text(there)
    assert program(["check_device", "--output", str(tmp_path / output)]) == USERS_MISTAKE
    assert why in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ([there] if there else [])


@pytest.mark.parametrize(
    ("given", "checks"),
    [("quick", QUICK), ("all", ALL), ("ladder,forward", ("device", "forward", "ladder")), ("device", ("device",))],
)
def test_checks_are_chosen_and_the_device_is_always_tried(given, checks):
    assert check_device._parser().parse_args(["--checks", given]).checks == checks


def test_an_unknown_check_is_a_mistake(capsys):
    assert program(["check_device", "--checks", "forward,backward"]) == USERS_MISTAKE
    assert "'backward' is no check; expected quick, all or some of versions,device,forward" in capsys.readouterr().err


def test_every_check_says_what_it_shows():
    assert tuple(WHAT) == ALL


@pytest.mark.parametrize("at", ["device", "epoch"])
def test_ctrl_c_leaves_what_was_found_and_nothing_else(at, tmp_path, need_torch):
    """While a check of the process runs, and while a program does."""
    work = tmp_path / "temporary"
    work.mkdir()
    options = ["--backend", "torch", "--dry_run", "--checks", "device,epoch"]
    words = [sys.executable, "-m", "segformer_core", "check_device", *options]
    variables = os.environ | {"TMPDIR": str(work), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, cwd=tmp_path, env=variables, start_new_session=True, stderr=subprocess.PIPE) as process:
        wait_for(lambda: list(work.glob("*/trial.log" if at == "device" else "*/epoch/output.log")))
        started = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if parent(path) == process.pid]
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 128 + signal.SIGINT and "stopped by SIGINT" in said
    report = report_of(tmp_path / "check_device.json")
    assert report["checks"]["epoch"] == {"result": NOT_RUN, "why": "stopped by SIGINT"}
    assert report["checks"]["device"]["result"] == (NOT_RUN if at == "device" else PASSED)
    assert started
    wait_for(lambda: all(ended(pid) for pid in started))
    assert not list(work.iterdir()), "the temporary folder is gone"


def parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return 0
