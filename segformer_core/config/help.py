"""The text of `--help`: the keys that a command reads, or all, with their defaults and meanings."""

import textwrap
from collections.abc import Sequence
from dataclasses import Field, fields
from typing import Any

from segformer_core.config.keys import GROUPS
from segformer_core.config.reads import READS

WIDTH = 100
"""Columns that every line of a help text fits in."""
ALL = "all"
"""The word that follows `--help` to see every key."""
NAMES = 35
"""Columns of the keys' names."""


def asks_help(arguments: Sequence[str]) -> bool:
    return "--help" in arguments or "-h" in arguments


def help_text(program: str, command: str, arguments: Sequence[str] = ()) -> str:
    """Usage, then the keys that `command` reads, by group; every key if the `arguments` hold the word all.

    `program` is how the command begins.
    """
    wanted = None if ALL in arguments else READS[command]
    lines = [f"usage: {program} [--config_path FILE] [--KEY VALUE] …", ""]
    for name, group in GROUPS.items():
        shown = [line for item in fields(group) if wanted is None or item.name in wanted for line in _lines(item)]
        lines += [f"{name}:", *shown, ""] if shown else []
    if wanted is not None:
        lines.append(f"The keys of the other commands, which a file may hold too: --help {ALL}")
    return "\n".join(lines)


def wrapped(text: str) -> str:
    """A docstring, its paragraphs wrapped."""
    return "\n\n".join(textwrap.fill(paragraph, WIDTH, break_on_hyphens=False) for paragraph in text.strip().split("\n\n"))


def _lines(item: Field) -> list[str]:
    choices = item.metadata["choices"]
    meaning = item.metadata["meaning"] + (f" ({', '.join(choices)})" if choices else "")
    text = f"{meaning}  [{_default_text(item.default)}]"
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  --{item.name}".ljust(NAMES),
        subsequent_indent=" " * NAMES,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def _default_text(default: Any) -> str:
    if isinstance(default, tuple):
        return f"[{','.join(map(str, default))}]"
    return str(default) or "empty"
