"""What our own files keep, in their metadata, of the run that made their arrays: classes, colours and recipe."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segformer_core.config.remembered import NORMALISATION, checked_recipe
from segformer_core.errors import brief
from segformer_core.weights.containers.tree import printable
from segformer_core.weights.preprocessor import FAULTS, Preparation, preparation_of

CLASSES, COLOURS, CONFIGURATION = "classes", "colours", "config"
"""Keys of the metadata, whose values are JSON."""
BASE_SIZE, IMAGE_SIZE = "base_size", "image_size"
"""Where the configuration keeps a size: ours, into which an image is fitted, or another code base's, to which it is stretched."""
SOURCE_FORMAT, OWN_TITLE = "source_format", "our own"
"""The metadata's key of what a converted file was made from, and how its value begins if that was a file of ours."""
MOST_CLASSES = 255
"""As a label image holds 8 bits a pixel, and 255 does not count."""

Colours = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Stated:
    """What files or metadata say of the arrays beside them.

    `classes` are names and `colours` RGB 0..255, each empty or one for every class. `recipe` holds values of
    `config.remembered.RECIPE`.
    """

    classes: tuple[str, ...] = ()
    preparation: Preparation | None = None
    warnings: tuple[str, ...] = ()
    colours: Colours = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> dict[str, Any]:
        """The recipe, and if it lacks mean and deviation those of the preparation."""
        normalisation = {}
        if self.preparation:
            normalisation = dict(zip(NORMALISATION, map(list, (self.preparation.mean, self.preparation.std)), strict=True))
        return normalisation | dict(self.recipe)


def metadata_of(stated: Stated) -> dict[str, str]:
    """What a canonical file keeps, as JSON; `described_by` reads it."""
    kept = {CLASSES: json.dumps(stated.classes)} if stated.classes else {}
    if stated.colours:
        kept[COLOURS] = json.dumps(stated.colours)
    keys = stated.keys
    if stated.preparation and BASE_SIZE not in keys:
        keys[IMAGE_SIZE] = stated.preparation.size
    if keys:
        kept[CONFIGURATION] = json.dumps(keys)
    return kept


def described_by(metadata: Mapping[str, str], class_count: int | None) -> Stated:
    """What our own file, or a training run's checkpoint, keeps in its metadata. What is wrong there is a warning."""
    keys = _json(metadata.get(CONFIGURATION), {})
    if not isinstance(keys, dict):
        keys = {}
    recipe, faults = checked_recipe(keys, "the weights' metadata")
    if not metadata.get(SOURCE_FORMAT, OWN_TITLE).startswith(OWN_TITLE):
        recipe.pop(BASE_SIZE, None)  # versions before IMAGE_SIZE kept another code base's size under this key
    try:
        preparation = preparation_of({"size": keys.get(BASE_SIZE, keys.get(IMAGE_SIZE))} | keys, "its metadata")
    except FAULTS:
        preparation = None
    classes, colours, wrong = checked_classes(
        _json(metadata.get(CLASSES), []), _json(metadata.get(COLOURS), []), class_count, "the weights' metadata"
    )
    return Stated(classes, preparation, (*wrong, *faults), colours, recipe)


def checked_classes(names: Any, colours: Any, count: int | None, source: str) -> tuple[tuple[str, ...], Colours, tuple[str, ...]]:
    """(names, colours, warnings) of anybody's lists of `count` names and of RGB colours; a list with a fault is empty."""
    warnings = []
    if not _of_length(names, count) or not all(isinstance(name, str) and name for name in names) or len({*names}) < len(names):
        if names:
            warnings.append(f"not used: classes in {source} are {brief(names)}; expected {count} different names")
        names = []
    if not _of_length(colours, count) or not all(map(_is_colour, colours)):
        if colours:
            warnings.append(
                f"not used: colours in {source} are {brief(colours)}; expected {count} times red, green, blue, 0..255"
            )
        colours = []
    return tuple(map(printable, names)), tuple((red, green, blue) for red, green, blue in colours), tuple(warnings)


def _of_length(values: Any, count: int | None) -> bool:
    return isinstance(values, list) and len(values) == count and len(values) <= MOST_CLASSES


def _is_colour(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value)


def _json(text: str | None, default: Any) -> Any:
    """The value, or the default. A file's header is bounded by its container."""
    try:
        return default if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return default
