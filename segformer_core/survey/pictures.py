"""Chooses the pairs of a dataset to look at, and paints their labels."""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from segformer_core.data.class_indices import value_table
from segformer_core.data.classes import LARGEST_VALUE, Classes
from segformer_core.data.colours import class_colours
from segformer_core.data.display import shown
from segformer_core.data.image_file import own_form, read_image
from segformer_core.errors import DataError
from segformer_core.pages.page import figure, reduced
from segformer_core.survey.finding import Finding
from segformer_core.survey.pair import Record, Value, stored_as
from segformer_core.survey.survey import Survey

SHEET = 12
"""Pairs of the sheet."""

OFFENDERS = 4
"""Pairs shown of each finding."""

LONG_SIDE = 640
"""Pixels of a picture."""

UNKNOWN = (255, 0, 96)
"""Colour of a stored value that means nothing."""


def sheet(survey: Survey) -> list[Record]:
    """Sound pairs: for each class, the rarest first, the one with most of it; then others, evenly taken."""
    sound = [record for record in survey.records if not record.fault and record.stored]
    by_label: dict[Value, list[Record]] = {}
    for record in sound:
        for value in record.pixels or record.stored:
            by_label.setdefault(value, []).append(record)
    chosen: list[Record] = []
    for value, holders in sorted(by_label.items(), key=lambda entry: len(entry[1])):
        best = max(holders, key=lambda record: _share(record, value))
        if best not in chosen and len(chosen) < SHEET:
            chosen.append(best)
    for record in (sound[place * len(sound) // SHEET] for place in range(SHEET if sound else 0)):
        if record not in chosen and len(chosen) < SHEET:
            chosen.append(record)
    return chosen


def _share(record: Record, value: Value) -> float:
    counts: dict[Any, int] = dict(record.pixels or record.stored)
    return counts[value] / sum(counts.values())


def offenders(found: Sequence[Finding]) -> Iterator[tuple[str, list[Record]]]:
    """The sentence of each finding that is about pairs, and the first of them."""
    for finding in found:
        if finding.records:
            yield finding.sentence, list(finding.records[:OFFENDERS])


def figures(records: Sequence[Record], survey: Survey) -> list[dict[str, Any]]:
    """What the macro `figure` shows of each pair whose files can be read."""
    made = (_figure(record, survey) for record in records)
    return [one for one in made if one is not None]


def _figure(record: Record, survey: Survey) -> dict[str, Any] | None:
    assert record.item.label is not None
    try:
        stored, form = stored_as(record.item.label, survey.classes), own_form(record.item.image)
        image = read_image(record.item.image, form)
    except DataError:
        return None
    if stored.shape[:2] != image.shape[:2] and stored.shape[:2] == record.size:
        image = read_image(record.item.image, form, as_stored=True)
    picture = reduced(shown(image), cv2.INTER_AREA, LONG_SIDE)
    painted = paint(reduced(stored, cv2.INTER_NEAREST, LONG_SIDE), survey)
    return figure(f"{record.split}/{record.item.name}", f"{stored.shape[0]}×{stored.shape[1]}", picture, {"labels": painted})


def paint(stored: np.ndarray, survey: Survey) -> np.ndarray:
    """(H, W) stored values -> (H, W, 3) uint8 RGB: the classes' colours, black where ignored. Colours are their own."""
    return stored if stored.ndim == 3 else value_colours(survey)[stored]


def value_colours(survey: Survey) -> np.ndarray:
    """(65536, 3) uint8 RGB by stored value."""
    colours = np.full((LARGEST_VALUE + 1, 3), UNKNOWN, np.uint8)
    if survey.classes is not None:
        table = value_table(survey.classes.labelling, len(survey.classes))
        colours[table > 0] = survey.classes.palette()[table[table > 0].astype(int) - 1]
    else:
        values = sorted(value for value in survey.stored if isinstance(value, int))[: len(MADE)]
        colours[values] = MADE[: len(values)]
    return colours


MADE = class_colours([None] * (LARGEST_VALUE // 257))
"""Colours for values that no file names."""


def colour_key(survey: Survey) -> list[tuple[str, tuple[int, int, int]]]:
    """Name and RGB of what the pictures show."""
    classes: Classes | None = survey.classes
    if classes is not None:
        key = [*zip(classes.names, classes.colours, strict=True), ("ignored", (0, 0, 0))]
        return [*key, ("no class", UNKNOWN)]
    values = sorted(value for value in survey.stored if isinstance(value, int))
    return [(f"value {value}", colour) for value, colour in zip(values, MADE, strict=False)]
