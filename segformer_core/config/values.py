"""A key's value, checked against the key's type, range and choices."""

import difflib
import math
import typing
from dataclasses import Field
from typing import Any

import yaml

from segformer_core.config.keys import KEYS
from segformer_core.errors import ConfigError

COMMAND_LINE = "the command line"


def known_key(name: str, source: str) -> Field:
    """The field of the key `name`. Raises ConfigError if there is none; `source` says where the name stands."""
    if name not in KEYS:
        near = difflib.get_close_matches(name, [*KEYS, "config_path"], n=1)
        hint = f"; did you mean {near[0]}?" if near else "; --help lists the keys"
        raise ConfigError(f"unknown key {name!r} in {source}{hint}")
    return KEYS[name]


def parse_flag(name: str, text: str) -> Any:
    """A command-line value as YAML reads it; for a text key, `text` itself. Raises ConfigError."""
    if known_key(name, COMMAND_LINE).type is str:
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--{name}: cannot read {text!r}") from error


def check_value(name: str, value: Any, source: str) -> Any:
    """The value, converted to the key's type. Raises ConfigError for a wrong type or a value out of range."""
    item = known_key(name, source)
    parts = typing.get_args(item.type)
    if parts:
        if not isinstance(value, list | tuple) or not value or (... not in parts and len(value) != len(parts)):
            raise ConfigError(f"{name} in {source} is {value!r}; expected {_described(item.type)}")
        if ... in parts:
            parts = parts[:1] * len(value)
        return tuple(_scalar(item, part, entry, value, source) for part, entry in zip(parts, value, strict=True))
    return _scalar(item, item.type, value, value, source)


def _scalar(item: Field, kind: Any, value: Any, shown: Any, source: str) -> Any:
    """`value` as `kind`: int, float, bool or str. An error message shows `shown`, the whole value of the key."""
    message = f"{item.name} in {source} is {shown!r}; expected {_described(item.type)}"
    if kind is float and type(value) in (str, int):  # YAML 1.1 reads 6e-5 as text
        try:
            value = float(value)
        except (ValueError, OverflowError):
            raise ConfigError(message) from None
    if kind is str and value is None:
        value = ""
    if item.metadata["listed"] and isinstance(value, list):
        value = ", ".join(map(str, value))
    if type(value) is not kind:
        raise ConfigError(message)
    low, high, choices = (item.metadata[limit] for limit in ("low", "high", "choices"))
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        limits = f"at least {low}" if high is None else f"{low} to {high}"
        raise ConfigError(f"{item.name} in {source} is {shown!r}; expected {limits}")
    if kind is float and not math.isfinite(value):
        raise ConfigError(message)
    if choices:
        spellings = {choice.lower(): choice for choice in choices}
        if value.lower() not in spellings:
            raise ConfigError(f"{item.name} in {source} is {shown!r}; expected one of {', '.join(choices)}")
        return spellings[value.lower()]  # the spelling in `choices`, which code compares with
    return value


def _described(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}
    parts = typing.get_args(kind)
    length = "" if ... in parts else f" of {len(parts)}"
    return f"a list{length} ({names[parts[0]]} each)" if parts else names[kind]
