"""The whole way: from the examples that a source holds to a new folder in the folder layout."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
from tqdm import tqdm

from segformer_core.data.ahead import prefetch
from segformer_core.data.classes import COLOURS, IGNORED
from segformer_core.data.description import FILE_NAME
from segformer_core.data.draft import Draft
from segformer_core.data.image_bytes import sound_png_size
from segformer_core.data.image_file import decode, read_bytes, read_image
from segformer_core.errors import ConfigError, DataError, plural
from segformer_core.making.annotated import Plan, ask_of_bare, plan, said_of_bare, share
from segformer_core.making.classes import Stated
from segformer_core.making.drawing import OVERLAPS, Counts, paint
from segformer_core.making.example import TRAIN, VAL, Embedded, Example, Found
from segformer_core.making.naming import describe
from segformer_core.making.splitting import SplitRule, split
from segformer_core.making.stored import Examined, examine, read_stored, together
from segformer_core.making.writing import COPY, IMAGES, LABELS, new_folder, place_file

WORKERS = min(os.cpu_count() or 1, 8)
Log = Callable[[str], None]
T = TypeVar("T")


def make_from_masks(target: Path, found: Found, rule: SplitRule, stated: Stated, way: str, comment: str, log: Log) -> Draft:
    """Write `target` from images whose masks are files; these stay as they are. Raises UserError, and then nothing is left."""
    examples = divided(found.examples, rule)
    suffix = _one_suffix(examples)
    log(f"{len(examples)} images, {found.what}")
    seen = together(_each("read", partial(_examined, coloured=stated.label_form == COLOURS), examples))
    draft = describe(seen, stated, suffix)
    say(found, draft, examples, rule, log)
    with new_folder(target) as folder:
        for example in tqdm(examples, COPY, unit="image", leave=False, dynamic_ncols=True, disable=None):
            assert isinstance(example.image, Path) and isinstance(example.label, Path)
            place_file(example.image, folder / IMAGES / example.split / f"{example.name}{example.image.suffix}", way)
            place_file(example.label, folder / LABELS / example.split / f"{example.name}{suffix}", way)
        (folder / FILE_NAME).write_text(draft.text(comment), encoding="utf-8")
    return draft


def make_from_annotations(
    target: Path,
    found: Found,
    rule: SplitRule,
    stated: Stated,
    choices: "Choices",
    way: str,
    comment: str,
    log: Log,
) -> Draft:
    """Write `target` from images whose labels are drawn from annotations, as 8-bit indices. Raises UserError, and then nothing is
    left."""
    the_plan = plan(found, stated, choices.ignored, choices.unlabelled)
    found, empty = _without_empty(found, the_plan)
    examples = divided(found.examples, rule)
    log(f"{len(examples)} images, {found.what}")
    draft = the_plan.draft()
    say(found, draft, examples, rule, log)
    if empty:
        log(empty)
    total = Counts()
    with new_folder(target) as folder:
        draw = partial(_drawn, the_plan=the_plan, overlap=choices.overlap)
        for example, (png, counts) in zip(examples, _each("draw", draw, examples), strict=True):
            suffix = example.image.suffix
            place_file(example.image, folder / IMAGES / example.split / f"{example.name}{suffix}", way)
            (folder / LABELS / example.split / f"{example.name}{draft.label_suffix}").write_bytes(png)
            total = total.plus(counts)
        ask_of_bare(the_plan, total)
        (folder / FILE_NAME).write_text(draft.text(comment), encoding="utf-8")
    log(said_of_bare(the_plan, total, choices.unlabelled))
    if total.several:
        log(
            f"{share(total.several, total.pixels)} of the pixels have annotations of several classes: {OVERLAPS[choices.overlap]}"
        )
    return draft


@dataclass(frozen=True)
class Choices:
    """What annotations leave open: names that do not count, what pixels without an annotation are, and those with several."""

    ignored: tuple[str, ...]
    unlabelled: str | None
    overlap: str


def _without_empty(found: Found, the_plan: Plan) -> tuple[Found, str]:
    """Without the images that have no annotation, if such pixels do not count; and a sentence on these images."""
    empty = [example for example in found.examples if not isinstance(example.label, Path) and example.label.empty]
    if not empty:
        return found, ""
    how_many = f"without an annotation: {len(empty)} of {len(found.examples)} images, such as {empty[0].name}"
    if the_plan.bare != IGNORED:
        name = the_plan.classes[the_plan.bare].name
        return found, f"{how_many}; they are all {name}"
    if the_plan.unsaid:
        return found, ""
    kept = tuple(example for example in found.examples if example not in empty)
    return replace(found, examples=kept), f"{how_many}; left out"


def _drawn(example: Example, the_plan: Plan, overlap: str) -> tuple[bytes, Counts]:
    """The content of the label image."""
    drawing = example.label
    assert not isinstance(drawing, Path)
    height, width = drawing.size or image_size(example.image)
    if drawing.size:
        check_size(example.image, height, width, drawing.source)
    label, counts = paint(drawing.regions(height, width), (height, width), the_plan.index, the_plan.bare, overlap)
    return cv2.imencode(".png", label)[1].tobytes(), counts


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


def say(found: Found, draft: Draft, examples: Sequence[Example], rule: SplitRule, log: Log) -> None:
    """Log what was decided."""
    shown = ", ".join(f"{index} {one.name}" for index, one in enumerate(draft.classes))
    ignored = ", ".join(str(value).replace(" ", "") for value in draft.ignore or ()) or "nothing"
    log(f"{plural(len(draft.classes), 'class')}: {shown}; ignored: {ignored}; labels store {draft.label_form}")
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


def _each(what: str, function: Callable[[Example], T], examples: Sequence[Example]) -> Iterator[T]:
    found = prefetch(function, examples, WORKERS)
    yield from tqdm(found, what, len(examples), unit="image", leave=False, dynamic_ncols=True, disable=None)


def _examined(example: Example, coloured: bool) -> Examined:
    assert isinstance(example.image, Path) and isinstance(example.label, Path)
    stored = read_stored(example.label, coloured)
    height, width = stored.pixels.shape
    check_size(example.image, height, width, example.label)
    return examine(example.label, stored)


def check_size(image: Path | Embedded, height: int, width: int, label: Path) -> None:
    """Raises DataError unless the image has this size, as it is shown or as it is stored, or if it cannot be read."""
    size = image_size(image)
    if size == (height, width) or (isinstance(image, Path) and read_image(image, as_stored=True).shape[:2] == (height, width)):
        return
    name = f"its image {image}" if isinstance(image, Path) else "the image in it"
    raise DataError(f"{label} is for {height}×{width} pixels and {name} has {size[0]}×{size[1]}; expected the same size")


def image_size(image: Path | Embedded) -> tuple[int, int]:
    """Height and width of an image as it is shown. Raises DataError if it cannot be read."""
    if isinstance(image, Path):
        height, width = sound_png_size(read_bytes(image)) or read_image(image).shape[:2]
    else:
        height, width = decode(image.source, image.read(), cv2.IMREAD_COLOR).shape[:2]
    return height, width
