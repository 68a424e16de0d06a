"""Standard output that is closed, full, cut off or of a poor encoding costs no traceback, and a training run no step."""

import io
import os
import subprocess
import sys

import pytest

from parity_tests import ROOT
from segformer_core.cli import DONE, USERS_MISTAKE, exit_code, main, program
from segformer_core.errors import UserError
from segformer_core.files import atomic_write
from segformer_core.interrupt import SIGNALLED
from segformer_core.output import guarded_output

CUT_OFF, FULL = SIGNALLED + 13, USERS_MISTAKE
SENTENCE = "error: cannot write to standard output: No space left on device; free some space or send it elsewhere\n"


@pytest.fixture(params=["cut off", "full"])
def lost(request, monkeypatch):
    """A function that makes standard output fail -> the exit code, and what is then said on standard error."""
    if request.param == "full":
        stream = open("/dev/full", "w")  # noqa: SIM115
    else:
        reader, writer = os.pipe()
        os.close(reader)
        stream = open(writer, "w")  # noqa: SIM115

    def lose() -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdout", stream)
        return (FULL, SENTENCE) if request.param == "full" else (CUT_OFF, "")

    yield lose
    stream.close()  # which writes what is left: an error here would be noise at the end of a process


def no_backend(runtime):
    raise AssertionError("help needs no backend")


COMMANDS = {
    "a backend's help": lambda: main("train", no_backend, ["--help"]),
    "the program's help": lambda: program(["--help"]),
    "a program's help": lambda: exit_code(lambda: print("x" * 100_000)),
    "the help of a parser": lambda: program(["make_sample_data", "--help"]),
    "a short line": lambda: exit_code(lambda: print("x")),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_lost_output_is_told_once(command, lost, capsys):
    code, said = lost()
    assert COMMANDS[command]() == code
    assert capsys.readouterr().err == said


def test_a_parsers_help_ends_the_process_itself():
    with pytest.raises(SystemExit) as end:
        program(["make_sample_data", "--help"])
    assert end.value.code == DONE


def test_lost_output_is_no_failure_of_the_file_that_is_being_written(lost, capsys, tmp_path):
    def write(temporary) -> None:
        temporary.write_text("whole")
        print("a line of progress", flush=True)

    code, said = lost()
    assert exit_code(lambda: atomic_write(tmp_path / "file.txt", write)) == code
    assert capsys.readouterr().err == said
    assert not list(tmp_path.iterdir())


def test_the_users_mistake_is_told_where_output_is_lost(lost, capsys):
    def run() -> None:
        print("a line")
        raise UserError("the mistake")

    lost()
    assert exit_code(run) == USERS_MISTAKE
    assert capsys.readouterr().err == "error: the mistake\n"


def test_output_is_the_callers_again(capsys):
    before = sys.stdout
    with guarded_output():
        assert sys.stdout is not before
    assert sys.stdout is before


@pytest.mark.parametrize(
    ("redirection", "code", "errors"), [(">&-", 0, ""), ("2>&-", 0, ""), (">&- 2>&- <&-", 0, ""), ("> /dev/full", FULL, SENTENCE)]
)
def test_streams_of_a_whole_process(redirection, code, errors):
    line = f"{sys.executable} -m segformer_core --help {redirection}"
    process = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (code, errors)


def test_a_reader_that_leaves_a_whole_process():
    line = f"{sys.executable} -m segformer_core --help | head -1; exit ${{PIPESTATUS[0]}}"
    process = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.stderr == "" and process.stdout.startswith("usage: segformer") and process.returncode in (DONE, CUT_OFF)


def test_a_character_that_the_terminal_lacks_is_spelt_out(monkeypatch, capsys):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert exit_code(lambda: print("512×1024 … 图 bad\udcff.png")) == DONE
    stream.flush()
    assert stream.buffer.getvalue() == rb"512\xd71024 \u2026 \u56fe bad\udcff.png" + b"\n"
