"""The keys that weights keep of the run that made them, and how they come into a command's configuration."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from segformer_core.config.keys import GROUPS, KEYS, MOST_CHANNELS, Config, flat
from segformer_core.config.reads import WINDOWS
from segformer_core.config.together import check_together
from segformer_core.config.values import check_value
from segformer_core.errors import ConfigError, brief

NORMALISATION = ("img_norm_mean", "img_norm_std")
LABELLING = ("base_size", "image_range", *NORMALISATION, *WINDOWS)
"""Keys that say how a network is shown an image: a network that is shown images otherwise labels them worse."""
RECIPE = tuple(name for name, item in KEYS.items() if item.metadata["decides"] or name in LABELLING)
"""Keys that weights keep: those that decide a run's result, and those above. No path, no machine and no date is among them."""
LONGEST_TEXT, LONGEST_LIST = 4000, 32
"""Of a value that is kept: 255 class weights; a list of NORMALISATION has a number for each channel."""


def recipe_of(config: Config) -> dict[str, Any]:
    """The values of RECIPE, in the types that JSON returns."""
    values = flat(config)
    return {name: list(value) if isinstance(value := values[name], tuple) else value for name in RECIPE}


def checked_recipe(values: Mapping[str, Any], source: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What anybody's `values` hold of RECIPE, in the types of `recipe_of`; and a warning if there are faults.

    A value of another type or out of range is left out, and so are all keys of LABELLING if they do not fit each other.
    """
    kept, faults = {}, []
    for name in RECIPE:
        if name in values:
            try:
                kept[name] = _checked(name, values[name], source)
            except ConfigError as error:
                faults.append(error)
    try:
        check_together(filled(Config(), kept)[0])
    except ConfigError as error:
        faults.append(ConfigError(f"in {source} {error}"))
        kept = {name: value for name, value in kept.items() if name not in LABELLING}
    return kept, (f"not used: {faults[0]}",) if faults else ()


def filled(config: Config, values: Mapping[str, Any]) -> tuple[Config, dict[str, Any]]:
    """The configuration with `values`, by key, where nobody has given the key; and those that were taken."""
    taken = {name: value for name, value in values.items() if name not in config.given}
    groups = {}
    for group, kind in GROUPS.items():
        own = {item.name: taken[item.name] for item in fields(kind) if item.name in taken}
        if own:
            own = {name: tuple(value) if isinstance(value, list) else value for name, value in own.items()}
            groups[group] = replace(getattr(config, group), **own)
    return replace(config, **groups), taken


def _checked(name: str, value: Any, source: str) -> Any:
    """The value in the type that JSON returns. Raises ConfigError."""
    value = check_value(name, value, source)
    longest = LONGEST_TEXT if isinstance(value, str) else MOST_CHANNELS if name in NORMALISATION else LONGEST_LIST
    if isinstance(value, str | tuple) and len(value) > longest:
        raise ConfigError(f"{name} in {source} is {brief(value)}; expected a length of at most {longest}")
    return list(value) if isinstance(value, tuple) else value
