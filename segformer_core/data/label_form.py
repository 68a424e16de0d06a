"""Whether the label files of a data set store class indices or colours: decided once, by the description or by the files."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np
import yaml

from segformer_core.data.ahead import prefetch
from segformer_core.data.class_indices import class_indices
from segformer_core.data.classes import AUTO, COLOURS, IGNORED, INDICES, Classes
from segformer_core.data.histogram import value_counts
from segformer_core.data.image_file import read_bytes, read_colours
from segformer_core.data.stored_label import PALETTE, gray, read_stored, stored_kind, unequal_pixel
from segformer_core.errors import DataError, brief

T = TypeVar("T")

READERS = 8
"""Threads that decode labels while the form of a data set is looked for."""

NAMED_COLOUR = "{name: road, colour: [128, 64, 128]}"


def in_form(path: Path, classes: Classes) -> np.ndarray:
    """What a label file stores: (H, W) uint8 or uint16 values, or (H, W, 3) uint8 RGB, as `classes.labelling` says.

    Three equal channels are values where the labels are not colours. Raises DataError for a file of the other form.
    """
    labelling, stored = classes.labelling, read_stored(path)
    if labelling.form == COLOURS:
        if stored.ndim == 2 and not labelling.stated:
            raise DataError(
                f"{path} has one channel, and the first labels of its data set hold colours; save all in one way, or write "
                f"label_form: colours in {classes.source} if the shades of this one are colours, too"
            )
        return stored if stored.ndim == 3 else read_colours(path)
    if stored.ndim == 2:
        return stored
    values = gray(stored)
    if values is None and (fault := _colour_fault(classes)):
        row, column, colour = unequal_pixel(stored)
        raise DataError(f"{path} has the colour {colour} at row {row}, column {column}, and {fault}")
    return stored if values is None else values


def _colour_fault(classes: Classes) -> str:
    """Why the labels cannot be colours, and what to do, as the end of a sentence; empty if they can."""
    labelling = classes.labelling
    if labelling.form == INDICES and labelling.stated:
        return f"{classes.source} says that labels hold values; save the label with one channel, or describe its colours there"
    if labelling.form == INDICES and labelling.colours:
        return "the first labels of its data set hold class indices; save all in one way"
    return missing_colour(classes)


def missing_colour(classes: Classes) -> str:
    """Why a colour does not tell the class, and what to do, as the end of a sentence; empty if each does."""
    source = classes.source or "a dataset.yaml"
    described = {index for _, index in classes.labelling.colours}
    without = [name for index, name in enumerate(classes.names) if index not in described]
    if without:
        whose = "no class has a colour" if not described else f"class {brief(without[0])} has no colour"
        return f"{whose}: write each class in {source} as {NAMED_COLOUR}, with the colour that it has in the labels"
    for (one, first), (other, second) in combinations(classes.labelling.colours, 2):
        if one == other:
            names = f"{brief(classes.names[first])} and {brief(classes.names[second])}"
            return f"classes {names} of {source} have one colour, {list(one)}: give each its own"
    return ""


def settled(classes: Classes, labels: Sequence[Path]) -> Classes:
    """The classes with the form in which the data set's labels, those of all splits in a fixed order, are stored.

    The first file that shows it decides: one channel means indices, unequal channels mean colours. Three equal channels in all
    of them mean indices. A file that cannot be read shows nothing; it is named when it is used. Raises DataError if the labels
    are colours that the description does not have; and the questions what counts in a palette whose colours are those of other
    classes, and what 255 is if the labels hold 0 and 255 alone.
    """
    labelling = classes.labelling
    if labelling.form == AUTO and labels:
        shown = zip(_each(_shown_form, labels), labels, strict=True)
        form, path = next((pair for pair in shown if pair[0]), (INDICES, labels[0]))
        if form == COLOURS and (fault := missing_colour(classes)):
            raise DataError(f"{path} and the other labels hold colours, and {fault}")
        classes = replace(classes, labelling=replace(labelling, form=form))
        if form == INDICES and PALETTE in _kind(path) and not missing_colour(classes):
            _ask_whether_colours_count(classes, path)
    if (
        len(classes) > 1
        and classes.source
        and classes.labelling.form == INDICES
        and labelling.ignore is None
        and not labelling.values
    ):
        _ask_what_255_is(classes, labels)
    return classes


def _each(function: Callable[[Path], T], labels: Sequence[Path]) -> Iterator[T]:
    """What the function makes of each label; in threads beyond the first, which mostly decides alone."""
    yield from map(function, labels[:1])
    yield from prefetch(function, labels[1:], READERS)


def _shown_form(path: Path) -> str:
    """The form that a label file shows; empty if its three channels are equal, or if it cannot be read."""
    try:
        stored = read_stored(path)
    except DataError:
        return ""
    return INDICES if stored.ndim == 2 else COLOURS if gray(stored) is None else ""


def _ask_whether_colours_count(classes: Classes, path: Path) -> None:
    """Raises DataError if all of a palette's pixels have classes' colours, and some that of another class than their index.

    Programs that save few colours in a palette number them as they please, in each file anew.
    """
    try:
        by_index = class_indices(in_form(path, classes), classes, path)
        by_colour = class_indices(read_colours(path), classes, path)
    except DataError:
        return
    if (by_index != by_colour).any():
        row, column = np.argwhere(by_index != by_colour)[0]
        index, colour = (_meaning(labels[row, column], classes) for labels in (by_index, by_colour))
        raise DataError(
            f"{path} has a palette in which the index at row {row}, column {column} is {index}, and its colour {colour}: write "
            f"label_form: indices in {classes.source} if the index counts, or label_form: colours if the colour does"
        )


def _meaning(label: int, classes: Classes) -> str:
    return "ignored" if label == IGNORED else f"class {brief(classes.names[label])}"


def _ask_what_255_is(classes: Classes, labels: Sequence[Path]) -> None:
    """Raises DataError if no label holds anything but 0 and 255, and some hold 255; reads until one does."""

    def values(path: Path) -> set[int]:
        try:
            return set(np.flatnonzero(value_counts(in_form(path, classes))).tolist())
        except DataError:
            return set()

    seen: set[int] = set()
    for found in _each(values, labels):
        seen |= found
        if seen - {0, IGNORED}:
            return
    if IGNORED in seen:
        answer = as_label_map(dict(zip((0, IGNORED), classes.names, strict=False)))
        count, another = ("two", "") if len(classes) == 2 else (str(len(classes)), " (or name another class)")
        raise DataError(
            f"the labels, such as {labels[0]}, hold 0 and 255 alone, and {classes.source} lists {count} classes: write in it "
            f"{answer} if 255 is {brief(classes.names[1])}{another}, or ignore: [255] if those pixels do not count"
        )


def as_label_map(names: Mapping[int, str]) -> str:
    """The line of dataset.yaml that gives stored values these names of classes."""
    flow = yaml.safe_dump(dict(names), default_flow_style=True, allow_unicode=True, width=math.inf)
    return f"label_map: {flow.strip()}"


def described(classes: Classes, labels: Sequence[Path]) -> str:
    """One line on how the labels are read: what they store, in which kind of file, and what is ignored."""
    labelling = classes.labelling
    ignored: list[object] = [*labelling.ignored_values(len(classes))]
    if labelling.form == COLOURS:
        stored, ignored = f"the colours of {classes.source}", [list(colour) for colour in labelling.ignored_colours]
    elif labelling.mapped:
        stored = "values, by label_map"
    else:
        stored = "class indices" + (f" from {labelling.values[0][0]} on" if labelling.values else "")
    kind = next(map(_kind, labels[:1]), "")
    return f"labels: {stored}{kind and f', stored as {kind}'}; ignored: {', '.join(map(str, ignored)) or 'nothing'}"


def _kind(path: Path) -> str:
    try:
        return stored_kind(read_bytes(path))
    except DataError:
        return ""
