"""The command line of the commands that take no configuration: their parser, and the kinds of values that it reads."""

import argparse
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from segformer_core.config.help import WIDTH, wrapped
from segformer_core.errors import ConfigError, brief
from segformer_core.paths import expanded, path_fault

LARGEST_NUMBER = 10**9
MOST_WORKERS = 1024


class Parser(argparse.ArgumentParser):
    """A mistake is one sentence, as everywhere."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog}: {message}; {self.prog} --help lists the arguments")


def new_parser(name: str, description: str | None) -> Parser:
    """A parser of `segformer NAME …`; the paragraphs of the description are wrapped."""
    width = min(shutil.get_terminal_size().columns, WIDTH)
    return Parser(
        prog=f"segformer {name}",
        description=wrapped(description or ""),
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=width),
    )


def path_text(text: str) -> str:
    """A path as text, its home folder written out; refuses one where no file can be. For `type`."""
    path = expanded(text)
    if fault := path_fault(path):
        raise argparse.ArgumentTypeError(f"{brief(text)}: {fault}")
    return path


def path_argument(text: str) -> Path:
    """As `path_text`, as a Path."""
    return Path(path_text(text))


def number(low: int, high: int = LARGEST_NUMBER) -> Callable[[str], int]:
    """A `type` of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{brief(text)} is no whole number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{brief(value)} is out of range; expected {low} to {high}")
        return value

    return read


def add_workers(parser: argparse.ArgumentParser) -> None:
    """--workers: the threads of a command that reads or writes many files."""
    kind, default = number(1, MOST_WORKERS), os.cpu_count() or 1
    parser.add_argument("--workers", type=kind, default=default, help="threads (default: one a core, %(default)s)")
