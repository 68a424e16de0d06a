"""What a documented command must be where it is not run: a program of ours that accepts its flags, or a usual one."""

import itertools
import re
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from parity_tests import ROOT
from segformer_core.cli import ORIGINAL_NAMES, PROGRAMS
from segformer_core.commands.arguments import Parser
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS

USUAL = (
    "atc", "cat", "cd", "conda", "cp", "curl", "deactivate", "diff", "docker", "echo", "export", "g++", "git", "grep", "head",
    "kill", "ls", "mkdir", "mv", "npm", "npu-smi", "nvidia-smi", "pytest", "rm", "scp", "sed", "source", "tail", "tar", "test",
    "uname", "unzip",
)  # fmt: skip
"""Programs that are not ours."""
MODULES = ("venv", "pip", "pytest", "tensorboard.main", "pydoc")
"""Modules that are not ours."""
LAUNCHERS = ("msrun", "torchrun")


def check(words: Sequence[str]) -> None:
    """Raise AssertionError or UserError unless the command exists and accepts its arguments."""
    program, rest = words[0], list(words[1:])
    if program in LAUNCHERS:
        position = rest.index("python") if "python" in rest else rest.index("-m") - 1
        check(["python", *rest[position + 1 :]])
    elif re.fullmatch(r"python(3(\.\d+)?)?", program):
        python(rest)
    elif program == "segformer":
        program_of_ours(rest[0], rest[1:])
    elif program == "bash":
        assert (ROOT / rest[0]).is_file(), f"no such script: {rest[0]}"
    elif program == "make":
        assert {word for word in rest if "=" not in word} <= set(make_targets()), f"no such target: make {rest}"
    elif program == "pip":
        pip(rest)
    else:
        assert Path(program).name in USUAL, f"unknown program: {program}"


def make_targets() -> list[str]:
    return re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def python(rest: list[str]) -> None:
    if rest[0] != "-m":
        assert not rest[0].startswith("examples/") or (ROOT / rest[0]).is_file(), f"no such example: {rest[0]}"
        if rest[0] == "-c" or not rest[0].startswith("tools/"):
            return
        program_of_ours(Path(rest[0]).stem, rest[1:])
    elif rest[1].startswith("backend_"):
        assert find_spec(rest[1]), f"no such module: {rest[1]}"
        command = rest[1].partition(".")[2]
        if "--help" not in rest:
            load_config(rest[2:], READS[ORIGINAL_NAMES.get(command, command)])
    elif rest[1] == "pip":
        pip(rest[2:])
    else:
        assert rest[1] in MODULES or find_spec(rest[1]), f"unknown module: {rest[1]}"


class Accepted(Exception):
    """The arguments were parsed; nothing was run."""


def program_of_ours(name: str, arguments: list[str]) -> None:
    if name in ("--help", "-h") or "--help" in arguments:
        return
    assert name in PROGRAMS, f"no such command: {name}"
    if name in READS:
        load_config(arguments, READS[name])
        return

    module = import_module(f"segformer_core.commands.{name}")
    if hasattr(module, "read_arguments"):  # options and keys
        module.read_arguments(arguments)
        return

    def parse(parser: Parser, given: Sequence[str]) -> None:
        super(Parser, parser).parse_args(given)
        raise Accepted

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Accepted):
        patch.setattr(Parser, "parse_args", parse)
        module.main(arguments)


def pip(rest: Sequence[str]) -> None:
    """Extras that are named exist, and so does the file of constraints."""
    extras = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE))
    for word in rest:
        if named := re.search(r"\[([\w,]+)\]$", word):
            assert set(named[1].split(",")) <= extras, f"no such extra: {word}"
    for option, value in itertools.pairwise(rest):
        assert option != "-c" or (ROOT / value).is_file(), f"no such file: {value}"
