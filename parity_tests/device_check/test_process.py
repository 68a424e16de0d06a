"""The process of the quick checks: it may die, hang, or find no device; what comes after it is tried all the same."""

import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from parity_tests.commands.launcher_bench import wait_for
from segformer_core.commands.opening import connector
from segformer_core.device_check.outcome import FAILED, NOT_RUN, PASSED
from segformer_core.device_check.process import enter, tried
from segformer_core.device_check.trial import CHECKS
from segformer_core.device_check.workplace import Workplace

LIMIT = 60.0


def outcomes(folder: Path, run, limits: Mapping[str, float] | None = None) -> dict[str, dict]:
    place = Workplace("torch", "CPU", True, folder, connector)
    return dict(tried(place, CHECKS, lambda name: (limits or {}).get(name, LIMIT), run))


def passes(connection: Connection, checks: Sequence[str]) -> None:
    for name in checks:
        connection.send({"result": PASSED, "process": os.getpid(), "name": name})


def dies(connection: Connection, place: Workplace, checks: Sequence[str]) -> None:
    """At the check `forward`."""
    enter(place.folder)
    if "forward" not in checks:
        passes(connection, checks)
        return
    passes(connection, ["device"])
    os.write(2, b"[ERROR] rtStreamSynchronize failed\n")
    os.abort()


def test_a_process_that_dies_is_a_result_and_the_next_checks_have_another(tmp_path):
    results = outcomes(tmp_path, dies)
    assert [results[name]["result"] for name in CHECKS] == [PASSED, FAILED, *[PASSED] * (len(CHECKS) - 2)]
    assert results["forward"]["why"] == "the process ended with code -6"
    assert "[ERROR] rtStreamSynchronize failed" in results["forward"]["output"]
    assert len({results[name]["process"] for name in CHECKS if name != "forward"}) == 2
    assert [results[name]["name"] for name in CHECKS if name != "forward"] == [name for name in CHECKS if name != "forward"]


def dies_before_its_child(connection: Connection, place: Workplace, checks: Sequence[str]) -> None:
    """The child, which a framework may start in this way, holds the pipe."""
    enter(place.folder)
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)).start()
    passes(connection, ["device"])
    os._exit(3)


def test_the_end_of_a_process_is_seen_although_its_child_lives(tmp_path):
    place = Workplace("torch", "CPU", True, tmp_path, connector)
    results = dict(tried(place, CHECKS[:2], lambda _: LIMIT, dies_before_its_child))
    assert [results[name]["result"] for name in CHECKS[:2]] == [PASSED, FAILED]
    assert results["forward"]["why"] == "the process ended with code 3" and results["forward"]["seconds"] < LIMIT / 2


def hangs(connection: Connection, place: Workplace, checks: Sequence[str]) -> None:
    """At the check `overflow`, in a child of its own besides."""
    enter(place.folder)
    if os.fork() == 0:
        time.sleep(600)
    Path(f"{os.getpid()}.group").touch()
    passes(connection, checks[: checks.index("overflow")] if "overflow" in checks else checks)
    time.sleep(600 if "overflow" in checks else 0)


def test_a_process_that_hangs_is_ended_with_all_that_it_has_started(tmp_path):
    results = outcomes(tmp_path, hangs, {"overflow": 1.0})
    assert [name for name in CHECKS if results[name]["result"] == FAILED] == ["overflow"]
    assert results["overflow"]["why"] == "overflow was ended after 1 s, its time limit"
    assert results["overflow"]["seconds"] >= 1
    groups = [int(path.stem) for path in tmp_path.glob("*.group")]
    assert len(groups) == 2
    wait_for(lambda: not [path for path in Path("/proc").glob("[0-9]*/stat") if living_in(path) in groups])


def living_in(stat: Path) -> int:
    """The group of a process that has not ended, else 0."""
    try:
        state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return 0
    return 0 if state == "Z" else int(group)


def finds_none(connection: Connection, place: Workplace, checks: Sequence[str]) -> None:
    connection.send({"result": NOT_RUN, "why": "there is no Ascend device"})


def test_without_a_device_no_other_check_is_run(tmp_path):
    results = outcomes(tmp_path, finds_none)
    assert {name: check["result"] for name, check in results.items()} == dict.fromkeys(CHECKS, NOT_RUN)
    assert {results[name]["why"] for name in CHECKS[1:]} == {"the device cannot be used"}


def says_where(connection: Connection, place: Workplace, checks: Sequence[str]) -> None:
    enter(place.folder)
    for _ in checks:
        connection.send({"result": PASSED, "folder": os.getcwd(), "group": os.getpgid(0), "variables": dict(os.environ)})


def test_it_works_in_its_folder_in_a_group_of_its_own_and_alone(tmp_path, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MS_ROLE", "RANK_TABLE_FILE"):
        monkeypatch.setenv(name, "1")
    found = outcomes(tmp_path, says_where)["device"]
    assert found["folder"] == str(tmp_path) and found["group"] != os.getpgid(0)
    assert not {"RANK", "WORLD_SIZE", "MS_ROLE", "RANK_TABLE_FILE"} & found["variables"].keys()
