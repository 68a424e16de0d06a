"""Programs of a check: their folder, their variables, their time, and what is left of them."""

import sys
import time
from pathlib import Path

import pytest

from parity_tests.commands.launcher_bench import ended, wait_for
from segformer_core.commands.opening import connector
from segformer_core.device_check import workplace
from segformer_core.device_check.outcome import NotRun, Wrong, attempt
from segformer_core.device_check.workplace import Workplace, last_line, need_checkout


@pytest.fixture
def place(tmp_path) -> Workplace:
    variables = {"PATH": "/usr/bin", "RANK": "0", "WORLD_SIZE": "2", "MS_ROLE": "MS_WORKER", "RANK_TABLE_FILE": "old.json"}
    return Workplace("torch", "CPU", True, tmp_path, connector, variables, "cpu")


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_it_runs_in_its_own_folder_and_alone(place):
    said = place.run("it", python("import os; print(os.getcwd(), os.getsid(0) == os.getpid(), dict(os.environ))"), 60, EXTRA="1")
    assert said.startswith(f"{place.folder / 'it'} True ") and "'EXTRA': '1'" in said and "'PATH': '/usr/bin'" in said
    assert "WORLD_SIZE" not in said and "MS_ROLE" not in said and "RANK" not in said


def test_what_it_says_is_kept_if_it_fails(place):
    program = "import sys; print('first'); print('error: there is no card', file=sys.stderr); print('exit code 3'); sys.exit(3)"
    with pytest.raises(Wrong, match=r"^it ended with exit code 3: error: there is no card$") as wrong:
        place.run("it", python(program), 60)
    assert "first" in wrong.value.output
    outcome = attempt(lambda: place.run("it", python(program), 60))
    assert sorted(outcome["output"].splitlines()) == ["error: there is no card", "exit code 3", "first"]


@pytest.mark.parametrize("deaf", [False, True], ids=["leaves when asked", "deaf"])
def test_one_that_takes_too_long_is_ended_with_its_children(place, deaf, monkeypatch):
    monkeypatch.setattr(workplace, "LEAVING_SECONDS", 1 if deaf else 30)
    handler = "signal.SIG_IGN" if deaf else "lambda *_: sys.exit(print('asked', flush=True))"
    begin = f"import os, signal, sys, time\nsignal.signal(signal.SIGTERM, {handler})\nchild = os.fork()"
    program = f"{begin}\nif child: print(os.getpid(), child, flush=True)\ntime.sleep(600)"
    start = time.monotonic()
    with pytest.raises(Wrong, match=r"^it was ended after 5 s, its time limit$") as wrong:
        place.run("it", python(program), 5)
    assert time.monotonic() - start < 60
    pids = [int(word) for word in wrong.value.output.split() if word.isdigit()]
    assert len(pids) == 2 and ("asked" in wrong.value.output) == (not deaf)
    wait_for(lambda: all(ended(pid) for pid in pids))


def test_what_it_leaves_behind_is_ended(place):
    said = place.run("it", python("import os, time\nchild = os.fork()\nif child: print(child)\nelse: time.sleep(600)"), 60)
    wait_for(lambda: ended(int(said)))


def test_an_error_of_ours_says_most():
    assert last_line("error: no card\ntraceback\nexit code 2\n") == "error: no card"
    assert last_line("a\n  b\n\n") == "b" and last_line("") == "it said nothing"


def test_an_installed_copy_has_no_tests_and_no_scripts(monkeypatch):
    need_checkout("parity_tests/test_rung1_leaves.py", "tools")
    monkeypatch.setattr(workplace, "ROOT", Path("/nowhere"))
    with pytest.raises(NotRun, match=r"^tools is not there: this is no checkout"):
        need_checkout("tools")
