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
    if name not in KEYS:
        near = difflib.get_close_matches(name, [*KEYS, "config_path"], n=1)
        hint = f"; did you mean {near[0]}?" if near else "; --help lists the keys"
        raise ConfigError(f"unknown key {name!r} in {source}{hint}")
    return KEYS[name]


def parse_flag(name: str, text: str) -> Any:
    """A command-line value as YAML would read it; a text key takes it as it stands."""
    if known_key(name, COMMAND_LINE).type is str:
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--{name}: cannot read {text!r}") from error


def check_value(name: str, value: Any, source: str) -> Any:
    """The value as the key's type, within the key's range."""
    item = known_key(name, source)
    wanted = item.type
    parts = typing.get_args(wanted)
    if parts:
        if not isinstance(value, list | tuple) or not value or (... not in parts and len(value) != len(parts)):
            raise ConfigError(f"{name} in {source} is {value!r}; expected {_described(wanted)}")
        if ... in parts:
            parts = parts[:1] * len(value)
        return tuple(_scalar(item, part, entry, value, source) for part, entry in zip(parts, value, strict=True))
    return _scalar(item, wanted, value, value, source)


def _scalar(item: Field, wanted: Any, value: Any, shown: Any, source: str) -> Any:
    complaint = f"{item.name} in {source} is {shown!r}; expected {_described(item.type)}"
    if wanted is float and type(value) in (str, int):  # YAML 1.1 reads 6e-5 as text
        try:
            value = float(value)
        except (ValueError, OverflowError):
            raise ConfigError(complaint) from None
    if wanted is str and value is None:
        value = ""
    if item.metadata["listed"] and isinstance(value, list):
        value = ", ".join(map(str, value))
    if type(value) is not wanted:
        raise ConfigError(complaint)
    low, high, choices = (item.metadata[limit] for limit in ("low", "high", "choices"))
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        limits = f"at least {low}" if high is None else f"{low} to {high}"
        raise ConfigError(f"{item.name} in {source} is {shown!r}; expected {limits}")
    if wanted is float and not math.isfinite(value):
        raise ConfigError(complaint)
    if choices:
        spelled = {choice.lower(): choice for choice in choices}
        if value.lower() not in spelled:
            raise ConfigError(f"{item.name} in {source} is {shown!r}; expected one of {', '.join(choices)}")
        return spelled[value.lower()]  # so that code may compare it as it stands in `choices`
    return value


def _described(wanted: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}
    parts = typing.get_args(wanted)
    length = "" if ... in parts else f" of {len(parts)}"
    return f"a list{length} ({names[parts[0]]} each)" if parts else names[wanted]
