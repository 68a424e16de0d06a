"""The help of every command: it fits 100 columns, and shows first what the command reads."""

import re

import pytest

from segformer_core.cli import COMMANDS, DONE, PROGRAMS, USERS_MISTAKE, main, program
from segformer_core.config.keys import KEYS
from segformer_core.config.reads import READS


def refuse(runtime):
    raise AssertionError("help loads no framework")


def shown(run, arguments: list[str], capsys) -> str:
    """What a help prints with exit code 0."""
    try:
        assert run(arguments) == DONE
    except SystemExit as end:  # argparse's
        assert end.code == DONE
    printed = capsys.readouterr()
    assert not printed.err
    return printed.out


def keys_in(text: str) -> set[str]:
    return set(re.findall(r"^  --(\w+) ", text, re.MULTILINE)) & KEYS.keys()


@pytest.mark.parametrize("columns", ["80", "300"])
@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in PROGRAMS)], ids=lambda words: words[0])
def test_the_help_of_the_program_fits_100_columns(arguments, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    text = shown(program, arguments, capsys)
    assert "usage: segformer" in text
    assert [line for line in text.splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--lr", "1", "-h"], ["--help", "--no_such_key"]])
def test_a_command_shows_what_it_reads(command, arguments, capsys):
    text = shown(lambda words: main(command, refuse, words), arguments, capsys)
    assert keys_in(text) == READS[command] and "--help all" in text
    assert [line for line in text.splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("arguments", [["--help", "all"], ["-h", "all"]])
def test_all_keys_are_behind_one_word(arguments, capsys):
    text = shown(lambda words: main("infer", refuse, words), arguments, capsys)
    assert keys_in(text) == KEYS.keys() and "--help all" not in text
    assert [line for line in text.splitlines() if len(line) > 100] == []


@pytest.mark.parametrize(
    ("command", "says"),
    [("compare_backends", "Exits with 1 if any other pixel differs"), ("compare_exports", "--forms NAMES")],
)
def test_a_comparison_shows_what_it_reads(command, says, capsys):
    text = shown(program, [command, "--help"], capsys)
    assert keys_in(text) == READS[command] and says in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["convert_model", "a.pth", "b.pth", "--no_such_flag"],
            "segformer convert_model: unrecognized arguments: --no_such_flag",
        ),
        (["convert_model", "a.pth", "b.pth", "--to", "x"], "argument --to: invalid choice: 'x'"),
        (["convert_model"], "expected INPUT OUTPUT"),
        (["convert_dataset"], "the following arguments are required: data_path"),
        (["check_dataset", "x", "--workers", "1025"], "argument --workers: 1025 is out of range; expected 1 to 1024"),
        (["unpack_dataset", "x", "y", "--workers", "0"], "argument --workers: 0 is out of range; expected 1 to 1024"),
        (["convert_dataset", "x", "--nproc", "0"], "argument --nproc: 0 is out of range; expected 1 to 1000000000"),
        (["convert_dataset", "x", "--nproc", "9" * 5000], "argument --nproc: '9+… is no whole number"),
        (["make_sample_data", "x", "--seed", "9" * 40], "argument --seed: 9+ is out of range; expected 0 to 9223372036854775808"),
        (["make_sample_data", "x", "--train", "many"], "argument --train: 'many' is no whole number"),
        (["benchmark", "--rounds", "0"], "argument --rounds: 0 is out of range"),
        (["benchmark", "--size", "8", "8"], "argument --size: 8 is out of range; expected 32 to"),
        (["compare_backends", "--lrr", "1"], "unknown key 'lrr' in the command line; did you mean lr"),
    ],
)
def test_a_mistake_in_arguments_is_one_sentence(arguments, message, capsys):
    assert program(arguments) == USERS_MISTAKE
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert re.search(message, printed.err), printed.err
