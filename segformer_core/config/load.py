"""The configuration of a command, from YAML files and flags.

Order: defaults < `__BASE__` files < the file < the command line.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from segformer_core.config.epochs_or_steps import check_one_of_each, overridden
from segformer_core.config.files import Values, find_config, read_config
from segformer_core.config.hints import CONFIG_PATH
from segformer_core.config.keys import GROUPS, KEYS, Config
from segformer_core.config.together import check_together
from segformer_core.config.values import COMMAND_LINE, check_value, known_key, parse_flag
from segformer_core.errors import ConfigError, brief
from segformer_core.paths import path_fault

WEIGHTS = "_ckpt_path"
"""How the keys of weight files end."""
SWITCHES = {"force": "export_force"}
"""Flags that need no value -> the key that each sets."""


def load_config(arguments: Sequence[str], reads: Collection[str] = KEYS.keys()) -> Config:
    """The configuration of a command's arguments: `--config_path FILE` and `--key value` or `--key=value`. Raises ConfigError.

    `reads` are the keys that the command reads: of these, each path must be one where a file can be.
    """
    flags = read_flags(arguments)
    _check_weights(flags, reads)
    path = flags.pop(CONFIG_PATH, None)
    return config_of(path, {name: parse_flag(name, text) for name, text in flags.items()}, COMMAND_LINE, reads)


def config_of(path: str | None, own: Mapping[str, Any], source: str, reads: Collection[str] = KEYS.keys()) -> Config:
    """The configuration of a file, if any, and of the values in `own`, which go before the file's. Raises ConfigError.

    `source` says in an error where `own` was given.
    """
    values: Values = {}
    if path is not None:
        file = find_config(path)
        values |= {"export_name": (file.stem, str(file))} | read_config(file)
    values = overridden(values, {name: (value, source) for name, value in own.items()})
    if own.get("pretrained_ckpt_path") and "load_ckpt" not in own:  # to name weights is to use them
        values["load_ckpt"] = (True, source)
    checked = {name: check_value(name, value, where) for name, (value, where) in values.items()}
    check_one_of_each({name: checked[name] for name in own})
    _check_reachable({name: checked[name] for name in checked if name in reads}, values)
    config = Config(
        **{
            name: group(**{item.name: checked[item.name] for item in fields(group) if item.name in checked})
            for name, group in GROUPS.items()
        },
        from_files=frozenset(name for name, (_, where) in values.items() if where != source),
        given=frozenset(values),
    )
    if own.get("pretrained_ckpt_path") and not config.training.load_ckpt:
        raise ConfigError(
            f"--pretrained_ckpt_path {config.training.pretrained_ckpt_path} and --load_ckpt False contradict each "
            "other; leave one of them out"
        )
    check_together(config)
    return config


def _check_weights(flags: Collection[str], reads: Collection[str]) -> None:
    """Raise ConfigError for a weight file, named on the command line, that the command would not use."""
    strange = [name for name in flags if name.endswith(WEIGHTS) and name not in reads]
    if strange:
        own = ", ".join(f"--{name}" for name in KEYS if name.endswith(WEIGHTS) and name in reads)
        raise ConfigError(f"--{strange[0]} names weights that this command does not use; expected {own}")


def _check_reachable(checked: dict[str, Any], values: Values) -> None:
    """Raise ConfigError for a path where no file can be."""
    for name, value in checked.items():
        if KEYS[name].metadata["path"] and (fault := path_fault(value)):
            raise ConfigError(f"{name} in {values[name][1]} is {brief(value)}: {fault}")


def read_flags(arguments: Sequence[str]) -> dict[str, str]:
    """Key -> text of `--key value` and `--key=value`, and of `--config_path`. Raises ConfigError."""
    flags: dict[str, str] = {}
    remaining = list(arguments)
    while remaining:
        word = remaining.pop(0)
        if not word.startswith("--"):
            raise ConfigError(f"unexpected argument {brief(word)}; expected --key value or --key=value")
        name, equals, text = word[2:].partition("=")
        if not equals:
            if remaining and not remaining[0].startswith("--"):
                text = remaining.pop(0)
            elif name in SWITCHES:
                text = "True"
            else:
                raise ConfigError(f"--{name} has no value; expected --{name} value")
        name = SWITCHES.get(name, name)
        if name in flags:
            raise ConfigError(f"--{name} is given twice")
        if name != CONFIG_PATH:
            known_key(name, COMMAND_LINE)  # before the words that follow a misspelt key are complained of
        flags[name] = text
    return flags
