"""The configuration of a command, from YAML files and flags.

Order: defaults < `__BASE__` files < the file < the command line.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from segformer_core.config.files import find_config, read_config
from segformer_core.config.keys import GROUPS, Config
from segformer_core.config.values import COMMAND_LINE, check_value, known_key, parse_flag
from segformer_core.errors import ConfigError

CONFIG_PATH = "config_path"
"""The one flag that is no key."""
SWITCHES = {"--force": "--export_force=True"}
"""Flags without a value -> the flag that each stands for."""


def load_config(arguments: Sequence[str]) -> Config:
    """The configuration of a command's arguments: `--config_path FILE` and `--key value` or `--key=value`. Raises ConfigError."""
    flags = _flags(arguments)
    path = flags.pop(CONFIG_PATH, None)
    values: dict[str, tuple[Any, str]] = {}
    if path is not None:
        file = find_config(path)
        values |= {"export_name": (file.stem, str(file))} | read_config(file, ())
    values |= {name: (parse_flag(name, text), COMMAND_LINE) for name, text in flags.items()}
    checked = {name: check_value(name, value, source) for name, (value, source) in values.items()}
    config = Config(
        **{
            name: group(**{item.name: checked[item.name] for item in fields(group) if item.name in checked})
            for name, group in GROUPS.items()
        }
    )
    _check_together(config)
    return config


def _check_together(config: Config) -> None:
    """Raise ConfigError for values that do not fit each other."""
    low, high = config.data.scale_range
    if low > high:
        raise ConfigError(f"scale_range is [{low}, {high}]; expected the smaller scale first")
    crop, stride = config.evaluation.eval_crop_size, config.evaluation.eval_stride
    if stride[0] > crop[0] or stride[1] > crop[1]:
        raise ConfigError(
            f"eval_stride is {list(stride)} and eval_crop_size {list(crop)}: pixels between the windows would have no label; "
            "expected a stride no larger than the crop"
        )


def _flags(arguments: Sequence[str]) -> dict[str, str]:
    flags: dict[str, str] = {}
    remaining = list(arguments)
    while remaining:
        word = remaining.pop(0)
        if not word.startswith("--"):
            raise ConfigError(f"unexpected argument {word!r}; expected --key value or --key=value")
        name, equals, text = SWITCHES.get(word, word)[2:].partition("=")
        if not equals:
            if not remaining or remaining[0].startswith("--"):
                raise ConfigError(f"--{name} has no value; expected --{name} value")
            text = remaining.pop(0)
        if name in flags:
            raise ConfigError(f"--{name} is given twice")
        if name != CONFIG_PATH:
            known_key(name, COMMAND_LINE)  # before the words that follow a misspelt key are complained of
        flags[name] = text
    return flags
