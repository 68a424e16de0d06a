"""What a network's weights say of themselves, in place of what the user has not said: keys of the configuration, and classes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from segformer_core.config.keys import Config, flat
from segformer_core.config.remembered import LABELLING, NORMALISATION, checked_recipe, filled
from segformer_core.config.together import check_windows
from segformer_core.config.values import check_value
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.data.dataset import Classes
from segformer_core.data.naming import named_classes
from segformer_core.errors import plural
from segformer_core.weights.preprocessor import Preparation
from segformer_core.weights.remembered import Stated

ALWAYS = ("base_size", *NORMALISATION)
"""Keys that are named whenever the weights state them."""


@dataclass(frozen=True)
class Settled:
    """A command's configuration and classes with what the weights say; `sentence` tells which things these are, if any."""

    config: Config
    classes: Classes
    sentence: str


def settled(config: Config, stated: Stated, count: int, source: str, known: Classes | None = None) -> Settled:
    """`config` with what is `stated` of the weights in `source`, which label `count` classes, where nobody has given the key.

    The classes are `known`, those of the data, if there are any; else as stated; else as `named_classes` has them. Raises
    ConfigError if the keys that are given and those that are stated do not fit each other.
    """
    usable, _ = checked_recipe({name: value for name, value in stated.keys.items() if name in LABELLING}, source)
    if stated.preparation and stated.preparation.normalises_like(Preparation.of(config.data)):
        usable = {name: value for name, value in usable.items() if name not in NORMALISATION or name in stated.recipe}
    new, taken = filled(config, usable)
    if taken.keys() & {"eval_crop_size", "eval_stride"}:
        check_windows(new.evaluation)
    classes = known or named_classes(stated.classes, stated.colours, count, source)
    said = [*([] if known else _names(stated, count)), *_keys(taken, flat(config))]
    things = f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else "".join(said)
    unnamed = [] if known or stated.classes else [_unnamed(classes)]
    return Settled(new, classes, "; ".join([*([f"{things} as the weights say"] if said else []), *unnamed]))


def counted(config: Config, count: int, source: str) -> Config:
    """The configuration with the number of classes that `source` has, unless one is given. Raises ConfigError beyond 255."""
    if config.model.class_num:
        return config
    return replace(config, model=replace(config.model, class_num=check_value("class_num", count, source)))


def _names(stated: Stated, count: int) -> list[str]:
    what = " and ".join(name for name, there in (("names", stated.classes), ("colours", stated.colours)) if there)
    return [f"{what} of {plural(count, 'class')}"] if what else []


def _unnamed(classes: Classes) -> str:
    cityscapes = classes.names == CITYSCAPES.names
    called = f"taken for Cityscapes' {len(classes)}" if cityscapes else f"called {classes.names[0]} to {classes.names[-1]}"
    return f"nothing names the classes, so they are {called}; to name them give a file that lists them, as --dataset_file FILE"


def _keys(taken: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """The keys that were taken, as words; size and normalisation always, the others where they change something."""
    others = [name for name in LABELLING if name in taken and name not in ALWAYS and taken[name] != _listed(before[name])]
    words = [f"base_size {taken['base_size']}"] if "base_size" in taken else []
    words += ["normalisation"] if taken.keys() & set(NORMALISATION) else []
    return words + [f"{name} {taken[name]}" for name in others]


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
