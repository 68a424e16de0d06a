"""From stored values or colours to class indices, by tables."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from segformer_core.data.classes import IGNORED, LARGEST_VALUE, Classes, Labelling
from segformer_core.errors import DataError, brief

SHOWN = 5
"""Values that a message lists."""


def class_indices(stored: np.ndarray, classes: Classes, path: Path) -> np.ndarray:
    """(H, W) uint8 or uint16 stored values, or (H, W, 3) uint8 RGB -> (H, W) uint8 class indices, 255 where ignored.

    Raises DataError that names the pixel of a value or colour that is neither a class's nor ignored.
    """
    if stored.ndim == 3:
        found = np.take(colour_table(classes.labelling), _packed(stored))
        if not found.all():
            raise _unknown_colour(stored, found, classes, path)
        return (found - 1).astype(np.uint8)
    table = value_table(classes.labelling, len(classes))
    if stored.dtype == np.uint8:
        table = table[:256]
    present = cv2.calcHist([stored], [0], None, [len(table)], [0, len(table)])[:, 0] > 0
    if (present & (table == 0)).any():
        raise _unknown_value(stored, table, classes, path)
    indices = (table - 1).astype(np.uint8)
    return cv2.LUT(stored, indices) if stored.dtype == np.uint8 else np.take(indices, stored)


def _packed(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) uint32: red, green and blue in one number of 24 bits, red lowest."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA).view("<u4")[..., 0] & 0xFFFFFF


@lru_cache(maxsize=8)
def value_table(labelling: Labelling, count: int) -> np.ndarray:
    """(65536,) uint16 by stored value: a class's index + 1, 256 where ignored, 0 where it is neither."""
    table = np.zeros(LARGEST_VALUE + 1, np.uint16)
    for value in labelling.ignored_values(count):
        table[value] = IGNORED + 1
    for value, index in labelling.class_values(count).items():
        table[value] = index + 1
    return table


@lru_cache(maxsize=2)
def colour_table(labelling: Labelling) -> np.ndarray:
    """(2**24,) uint16 by packed colour, as `value_table`; the memory of zeros is taken only where a pixel asks for it."""
    table = np.zeros(2**24, np.uint16)
    for red, green, blue in labelling.ignored_colours:
        table[red | green << 8 | blue << 16] = IGNORED + 1
    for (red, green, blue), index in labelling.colours:
        table[red | green << 8 | blue << 16] = index + 1
    return table


def _unknown_value(stored: np.ndarray, table: np.ndarray, classes: Classes, path: Path) -> DataError:
    """The mistake that names the most frequent value that is neither a class's nor ignored."""
    counts = np.bincount(stored.ravel(), minlength=len(table))
    counts[table > 0] = 0
    value = int(counts.argmax())
    row, column = np.argwhere(stored == value)[0]
    return DataError(f"{path} has label {value} at row {row}, column {column}; expected {expected_values(classes)}")


def expected_values(classes: Classes) -> str:
    """The stored values that are known, as the end of a sentence."""
    labelling, count = classes.labelling, len(classes)
    values, ignored = sorted(labelling.class_values(count)), sorted(labelling.ignored_values(count))
    known = f"a value of label_map ({_listed(values)})" if labelling.mapped else f"a class index {values[0]}..{values[-1]}"
    return f"{known} or the ignore value{'s' if len(ignored) > 1 else ''} {_listed(ignored)}" if ignored else known


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:SHOWN])) + (", …" if len(values) > SHOWN else "")


def _unknown_colour(rgb: np.ndarray, found: np.ndarray, classes: Classes, path: Path) -> DataError:
    row, column = (int(place) for place in np.argwhere(found == 0)[0])
    colour = rgb[row, column].astype(int)
    whose = [(known, f"that of {brief(classes.names[index])}") for known, index in classes.labelling.colours]
    whose += [(known, "ignored") for known in classes.labelling.ignored_colours]
    nearest, meaning = min(whose, key=lambda pair: int(np.square(colour - pair[0]).sum()))
    return DataError(
        f"{path} has the colour {colour.tolist()} at row {row}, column {column}, which means no class; the nearest, "
        f"{list(nearest)}, is {meaning}: repaint it, or name this colour in {classes.source}, for a class or in ignore"
    )
