"""The program `segformer` and its doors in tools/."""

import os
import subprocess
import sys
import sysconfig

import pytest

from parity_tests import ROOT
from segformer_core.cli import COMMANDS, DONE, PROGRAMS, USERS_MISTAKE, program

DOORS = sorted((ROOT / "tools").glob("*.py"))


def test_every_program_has_a_door_and_every_door_a_program():
    assert [door.stem for door in DOORS] == sorted(PROGRAMS)


@pytest.mark.parametrize("arguments", [[], ["no_such_command"], ["--no_such_flag"]])
def test_an_unknown_command_is_answered_with_the_known_ones(arguments, capsys):
    assert program(arguments) == USERS_MISTAKE
    shown = capsys.readouterr()
    assert not shown.out and all(name in shown.err for name in PROGRAMS)
    assert shown.err.startswith(f"error: unknown command {arguments[0]!r}\n" if arguments else "error: no command\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_backend_is_shown_where_it_is(command, capsys):
    assert program([command]) == USERS_MISTAKE
    assert f"error: {command} belongs to a backend; run python -m backend_mindspore.{command} …" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_no_mistake(flag, capsys):
    assert program([flag]) == DONE
    assert "usage: segformer COMMAND" in capsys.readouterr().out


def test_a_users_mistake_is_one_sentence(tmp_path, capsys):
    assert program(["convert_dataset", str(tmp_path / "none")]) == USERS_MISTAKE
    assert capsys.readouterr().err == f"error: no such data path: {tmp_path}/none; give the folder that holds gtFine\n"


def test_the_comparison_says_which_keys_it_takes(capsys):
    assert program(["compare_backends", "--help"]) == DONE
    assert "--eval_ckpt_path" in capsys.readouterr().out


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.stem)
def test_a_door_runs_the_checkout_and_hides_no_standard_module(door, tmp_path):
    """The checkout comes behind the standard library and before an installed copy of this project."""
    lines = f"""
import runpy, sys
sys.argv = [{str(door)!r}, "--no_such_flag"]
try:
    runpy.run_path({str(door)!r}, run_name="__main__")
except SystemExit as end:
    print(end.code, *sys.path, sep="\\n")
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", lines]
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    code, *paths = process.stdout.splitlines()
    assert code == str(USERS_MISTAKE), "the door hands on its arguments and the exit code"
    assert f"segformer {door.stem}" in process.stderr or "error: --no_such_flag has no value" in process.stderr
    standard, installed = (paths.index(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))
    assert standard < paths.index(str(ROOT)) < installed
