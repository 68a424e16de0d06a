"""Keys as arguments of the Python API: errors that a command words with flags, in the words of a program."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

from segformer_core.config.keys import GROUPS, KEYS
from segformer_core.errors import UserError

OF_COMMANDS = {item.name for item in fields(GROUPS["export"])}
"""Keys that an error advises to give to a command: a program exports nothing."""
FLAG = re.compile(rf"(segformer \w+ [^:;,]*)|--(?=({'|'.join(sorted(KEYS.keys() - OF_COMMANDS))})\b)")
"""A key, or a whole command line, which stays."""


def without_dashes(text: str) -> str:
    """`set --eval_mode slide` -> `set eval_mode slide`."""
    return FLAG.sub(lambda found: found[1] or "", text)


@contextmanager
def as_arguments() -> Iterator[None]:
    """In this context a UserError names arguments, such as eval_mode, where it would name flags, such as --eval_mode."""
    try:
        yield
    except UserError as error:
        error.args = tuple(without_dashes(part) if isinstance(part, str) else part for part in error.args)
        raise
