"""The whole way: from the examples that a source holds to a new folder in the folder layout."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from segformer_core.data.folder import DESCRIPTION
from segformer_core.data.image_bytes import sound_png_size
from segformer_core.data.image_file import read_bytes, read_image
from segformer_core.data.pipeline import prefetch
from segformer_core.errors import ConfigError, DataError
from segformer_core.making.description import Description, Stated
from segformer_core.making.example import TRAIN, VAL, Example, Found
from segformer_core.making.naming import describe
from segformer_core.making.splitting import SplitRule, split
from segformer_core.making.stored import Examined, examine, read_stored, together
from segformer_core.making.writing import COPY, IMAGES, LABELS, new_folder, place_file

WORKERS = min(os.cpu_count() or 1, 8)
Log = Callable[[str], None]


def make_from_masks(target: Path, found: Found, rule: SplitRule, stated: Stated, way: str, comment: str, log: Log) -> Description:
    """Write `target` from images whose masks are files; these stay as they are. Raises UserError, and then nothing is left."""
    examples = divided(found.examples, rule)
    suffix = _one_suffix(examples)
    log(f"{len(examples)} images, {found.what}")
    seen = together(_each("read", _examined, examples))
    description = describe(seen, stated, suffix)
    say(found, description, examples, rule, log)
    with new_folder(target) as folder:
        for example in tqdm(examples, COPY, unit="image", leave=False, dynamic_ncols=True, disable=None):
            assert isinstance(example.image, Path) and isinstance(example.label, Path)
            place_file(example.image, folder / IMAGES / example.split / f"{example.name}{example.image.suffix}", way)
            place_file(example.label, folder / LABELS / example.split / f"{example.name}{suffix}", way)
        (folder / DESCRIPTION).write_text(description.text(comment), encoding="utf-8")
    return description


def divided(examples: Sequence[Example], rule: SplitRule) -> list[Example]:
    """The examples with their splits, sorted by name. Raises UserError."""
    for example in examples:
        if any("\ud800" <= letter <= "\udfff" for letter in example.name):
            raise DataError(f"{example.image} has a name that is no UTF-8; rename it")
    if all(example.split for example in examples):
        if rule.given:
            raise ConfigError("the images are split as they lie; leave --val, --val_last, --val_list and --group out")
        divided = list(examples)
    else:
        splits = split(sorted(example.name for example in examples), rule)
        divided = [replace(example, split=splits[example.name]) for example in examples]
    return sorted(divided, key=lambda example: (example.split, example.name))


def say(found: Found, description: Description, examples: Sequence[Example], rule: SplitRule, log: Log) -> None:
    """Log what was decided."""
    shown = ", ".join(f"{index} {one.name}" for index, one in enumerate(description.classes))
    ignored = ", ".join(str(value).replace(" ", "") for value in description.ignore) or "nothing"
    log(f"{len(description.classes)} classes: {shown}; ignored: {ignored}; labels are {description.label_form}")
    counts = Counter(example.split for example in examples)
    how = "" if all(example.split for example in found.examples) else f" ({rule.words()})"
    log(f"{counts[TRAIN]} {TRAIN}, {counts[VAL]} {VAL}{how}")
    for note in found.notes:
        log(note)


def _one_suffix(examples: Iterable[Example]) -> str:
    """The ending of all masks. Raises DataError if they have different ones."""
    first: dict[str, Path] = {}
    for example in examples:
        assert isinstance(example.label, Path)
        first.setdefault(example.label.suffix.lower(), example.label)
    if len(first) > 1:
        one, other, *_ = first.values()
        raise DataError(f"the masks {one} and {other} have different endings; expected one for all: convert some")
    return next(iter(first))


def _each(what: str, function: Callable[[Example], Examined], examples: Sequence[Example]) -> Iterator[Examined]:
    found = prefetch(function, examples, WORKERS)
    yield from tqdm(found, what, len(examples), unit="image", leave=False, dynamic_ncols=True, disable=None)


def _examined(example: Example) -> Examined:
    assert isinstance(example.image, Path) and isinstance(example.label, Path)
    stored = read_stored(example.label)
    height, width = stored.pixels.shape
    check_size(example.image, height, width, example.label)
    return examine(example.label, stored)


def check_size(image: Path, height: int, width: int, label: Path) -> None:
    """Raises DataError unless the image has this size, as it is shown or as it is stored, or if it cannot be read."""
    size = sound_png_size(read_bytes(image)) or read_image(image).shape[:2]
    if size != (height, width) and read_image(image, as_stored=True).shape[:2] != (height, width):
        raise DataError(
            f"{label} is {height}×{width} pixels and its image {image} is {size[0]}×{size[1]}; expected the same size"
        )
