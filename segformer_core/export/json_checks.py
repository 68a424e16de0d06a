"""Checks of JSON that a stranger may have written: each makes its value anew, so that what it does not know is left out."""

import keyword
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from segformer_core.errors import brief

Check = Callable[[Any], Any]
"""A value from the file -> the same value, made anew. Raises Unexpected."""
LARGEST_INTEGER = 2**40


class Unexpected(Exception):
    """A value that no exported SegFormer has; the message says which."""


def one_of(values: frozenset[Any] | set[Any]) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, str | int | None) and value in values:
            return value
        raise Unexpected(brief(value))

    return check


def matching(pattern: re.Pattern[str]) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, str) and pattern.fullmatch(value) and not keyword.iskeyword(value):
            return value
        raise Unexpected(f"the name {brief(value)}")

    return check


def integer(value: Any) -> int:
    if type(value) is int and abs(value) <= LARGEST_INTEGER:
        return value
    raise Unexpected(f"{brief(value)} as an integer")


def number(value: Any) -> float:
    if type(value) in (int, float) and math.isfinite(value):
        return float(value)
    raise Unexpected(f"{brief(value)} as a number")


def boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise Unexpected(f"{brief(value)} as True or False")


def nothing(value: Any) -> Any:
    if value is None or value == {} or value == []:
        return value
    raise Unexpected(brief(value))


def optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def many(check: Check) -> Check:
    def checked(values: Any) -> list[Any]:
        if not isinstance(values, list):
            raise Unexpected(f"{brief(values)} as a list")
        return [check(value) for value in values]

    return checked


def by_name(names: Check, check: Check) -> Check:
    def checked(values: Any) -> dict[str, Any]:
        return {names(name): check(value) for name, value in _mapping(values).items()}

    return checked


def fields(checks: Mapping[str, Check], optional: Collection[str] = ()) -> Check:
    """An object of these fields; others are left out. Those of `optional` need not be there, and are then not made up."""

    def checked(values: Any) -> dict[str, Any]:
        given = _mapping(values)
        missing = checks.keys() - given.keys() - set(optional)
        if missing:
            raise Unexpected(f"no {min(missing)} in {brief(values)}")
        return {name: check(given[name]) for name, check in checks.items() if name in given}

    return checked


def either(checks: Mapping[str, Check]) -> Check:
    """An object of one field, which names the kind of its value."""

    def checked(values: Any) -> dict[str, Any]:
        given = _mapping(values)
        kind = next(iter(given), "")
        if len(given) != 1 or kind not in checks:
            raise Unexpected(brief(values))
        return {kind: checks[kind](given[kind])}

    return checked


def always(value: Any) -> Check:
    return lambda _: value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unexpected(f"{brief(value)} as an object")
    return value
