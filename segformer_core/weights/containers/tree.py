"""The dictionaries of a file, made safe to walk and to print."""

from collections.abc import Callable, Mapping
from typing import Any

from segformer_core.errors import brief, one_line

LONGEST_NAME = 500
"""No code base has names so long; a message that repeats one stays readable."""


def printable(text: str) -> str:
    """The text on one line of at most 500 characters; as it is, if it is one."""
    return one_line(text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…")


MOST_LEVELS, MOST_ENTRIES = 16, 200_000
"""Of dictionaries in dictionaries: what weights need is far below."""


def tree_of(tree: Mapping[Any, Any], leaf: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    """The dictionaries of a file as plain ones with printable names; those deeper than 16 levels become empty.

    `leaf` is applied to all else. A dictionary that holds itself so ends. Raises ValueError if there are too many entries.
    """
    left = MOST_ENTRIES

    def plain(value: Any, level: int) -> Any:
        nonlocal left
        if not isinstance(value, Mapping) or (not value and level):
            return leaf(value)
        left -= len(value)
        if left < 0:
            raise ValueError(f"its dictionaries have more than {MOST_ENTRIES:,} entries")
        if level == MOST_LEVELS:
            return {}
        return {name_of(key): plain(item, level + 1) for key, item in value.items()}

    result: dict[str, Any] = plain(tree, 0)
    return result


def name_of(key: Any) -> str:
    """The printable name of an entry."""
    return printable(key if isinstance(key, str) else str(key) if isinstance(key, int | float) else brief(key))
