"""A key's value, checked against the key's type, range and choices."""

import math
import typing
from dataclasses import Field
from typing import Any

from segformer_core.config.hints import hint
from segformer_core.config.keys import KEYS, LARGEST_NUMBER
from segformer_core.config.workers import AUTO
from segformer_core.config.yaml_reading import parse_yaml
from segformer_core.errors import ConfigError, brief
from segformer_core.paths import expanded, name_fault

COMMAND_LINE = "the command line"
NO_FILE = ("true", "false", "yes", "no", "latest", "last", "newest")
"""Words that are no file's name where a key takes other words beside files."""


def known_key(name: str, source: str) -> Field:
    """The field of the key `name`. Raises ConfigError if there is none; `source` says where the name stands."""
    if name not in KEYS:
        raise ConfigError(f"unknown key {brief(name)} in {source}; {hint(name)}")
    return KEYS[name]


def parse_flag(name: str, text: str) -> Any:
    """A command-line value as YAML reads it; for a text key, or if it is no YAML, `text` itself. Raises ConfigError."""
    if known_key(name, COMMAND_LINE).type is str:
        return text
    try:
        return parse_yaml(text, COMMAND_LINE)
    except ConfigError:
        return text


def check_value(name: str, value: Any, source: str) -> Any:
    """The value, converted to the key's type. Raises ConfigError for a wrong type or a value out of range."""
    item = known_key(name, source)
    parts = typing.get_args(item.type)
    if parts:
        if item.metadata["empty"] and value in ("", None, [], ()):
            return ()
        if not isinstance(value, list | tuple) or not value or (... not in parts and len(value) != len(parts)):
            raise ConfigError(f"{name} in {source} is {brief(value)}; expected {_described(item)}")
        if ... in parts:
            parts = parts[:1] * len(value)
        return tuple(_scalar(item, part, entry, value, source) for part, entry in zip(parts, value, strict=True))
    return _scalar(item, item.type, value, value, source)


def _scalar(item: Field, kind: Any, value: Any, shown: Any, source: str) -> Any:
    """`value` as `kind`: int, float, bool or str. An error message shows `shown`, the whole value of the key."""
    if item.metadata["spelling"]:
        return item.metadata["spelling"](value, f"{item.name} in {source}")
    if item.metadata["auto"] and str(value).lower() == AUTO:
        return item.metadata["auto"]()
    subject = f"{item.name} in {source} is {brief(shown)}"
    if kind is float and type(value) in (str, int):  # YAML 1.1 reads 6e-5 as text
        try:
            value = float(value)
        except (ValueError, OverflowError):
            raise ConfigError(f"{subject}; expected {_described(item)}") from None
    if item.metadata["share"] and type(value) is float and (value == 0 or value >= 1):
        kind, value = int, int(value) if value.is_integer() else value
    if kind is str and value is None:
        value = ""
    if type(value) is bool and str(value) in item.metadata["choices"]:
        value = str(value)
    if item.metadata["listed"] and isinstance(value, list) and all(type(entry) in (str, int, float) for entry in value):
        value = ", ".join(map(str, value))
    if type(value) is not kind:
        raise ConfigError(f"{subject}; expected {_described(item)}")
    low, high, choices = (item.metadata[limit] for limit in ("low", "high", "choices"))
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        limits = f"at least {low}" if high is None else f"{low} to {high}"
        raise ConfigError(f"{subject}; expected {limits}")
    if kind is float and not math.isfinite(value):
        raise ConfigError(f"{subject}; expected {_described(item)}")
    if kind is int and high is None and value > LARGEST_NUMBER:
        raise ConfigError(f"{subject}; expected at most {LARGEST_NUMBER}")
    if item.metadata["path"]:
        return _path(item, value, subject)
    if choices:
        spellings = {choice.lower(): choice for choice in choices}
        if value.lower() not in spellings:
            raise ConfigError(f"{subject}; expected one of {', '.join(choices)}")
        return spellings[value.lower()]  # the spelling in `choices`, which code compares with
    return value


def _path(item: Field, value: str, subject: str) -> str:
    """The path, its home folder written out, or the key's word that stands for none. Raises ConfigError."""
    words = item.metadata["words"]
    if words and value.lower() in ("", *words):
        return value.lower() or words[0]
    if words and value.lower() in NO_FILE:
        raise ConfigError(f"{subject}; expected {_described(item)}; write ./{value} for a file of this name")
    path = expanded(value)
    if fault := name_fault(path):
        raise ConfigError(f"{subject}: {fault}")
    return path


def _described(item: Field) -> str:
    if item.metadata["words"]:
        return f"{', '.join(item.metadata['words'])} or a file"
    if item.metadata["share"]:
        return "a whole number of steps, or a share of the run's below 1"
    if item.metadata["auto"]:
        return f"a whole number or {AUTO}"
    names: dict[Any, str] = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}
    parts = typing.get_args(item.type)
    length = "" if ... in parts else f" of {len(parts)}"
    return f"a list{length} ({names[parts[0]]} each)" if parts else names[item.type]
