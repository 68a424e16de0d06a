"""What one image and its label hold, and why they cannot be used together."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from segformer_core.data.class_indices import class_indices, value_table
from segformer_core.data.classes import COLOURS, IGNORED, Classes, Value
from segformer_core.data.dataset import Item, fitting_image, read_label
from segformer_core.data.image_bytes import sound_png_size
from segformer_core.data.image_file import read_bytes, read_image
from segformer_core.data.label_form import in_form
from segformer_core.data.stored_label import gray, read_stored
from segformer_core.errors import DataError
from segformer_core.survey.kinds import image_kind

VALUES = IGNORED + 1
"""The values of 8 bits."""

STRIP_PIXELS = 2**23
"""cv2.calcHist counts in float32, exactly up to 2**24."""

MOST_VALUES = 300
"""A label that stores more different values or colours is a picture; of the rest of them only the number is kept."""


class Examined(NamedTuple):
    """Why a pair cannot be used, empty if it can; and (256,) bool, the values that its label has, 255 where ignored."""

    fault: str
    values: np.ndarray


def examined(item: Item, classes: Classes) -> Examined:
    """The fast examination, which is enough to train.

    Labels are decoded, and images as well, except PNGs: their check sums say whether they are sound.
    """
    assert item.label is not None
    try:
        size = sound_png_size(read_bytes(item.image))
        label = read_label(item.label, classes)
        if label.shape != size:
            fitting_image(item, label.shape)
    except DataError as error:
        return Examined(str(error), np.zeros(VALUES, bool))
    return Examined("", histogram(label) > 0)


@dataclass(frozen=True)
class Record:
    """What is kept of a pair.

    fault       why it cannot be used; empty if it can
    size        height and width as the network sees the image; None if it cannot be read
    kinds       of the image file and of the label file: "8-bit RGB PNG"
    stored      value or colour in the label file -> pixels
    pixels      class index, or 255 for ignored -> pixels; empty if that cannot be told
    hashes      of the image's pixels as RGB and of the label's class indices, or stored values; empty if one cannot be read
    """

    split: str
    item: Item
    fault: str = ""
    size: tuple[int, int] | None = None
    kinds: tuple[str, str] = ("", "")
    stored: Mapping[Value, int] = field(default_factory=dict)
    pixels: Mapping[int, int] = field(default_factory=dict)
    hashes: tuple[bytes, bytes] = (b"", b"")

    @property
    def counted(self) -> int:
        """Pixels that are not ignored."""
        return sum(count for index, count in self.pixels.items() if index != IGNORED)

    @property
    def ignored_share(self) -> float:
        return self.pixels.get(IGNORED, 0) / max(sum(self.pixels.values()), 1)


class Whole(NamedTuple):
    """The examination of everything: a record, and (3, 256) int64, the image's pixels by channel (RGB) and value."""

    record: Record
    channels: np.ndarray


def examined_whole(split: str, item: Item, classes: Classes | None) -> Whole:
    """Reads and decodes both files. Without `classes` a label's values are only counted as they are stored."""
    assert item.label is not None
    faults: list[str] = []
    label, stored, pixels = _label(item.label, classes, faults)
    image = _image(item, None if label is None else label.shape, faults)
    return Whole(
        Record(
            split,
            item,
            "; ".join(faults),
            None if image is None else (image.shape[0], image.shape[1]),
            (_kind(item.image), _kind(item.label)),
            stored,
            {} if faults else pixels,
            (_hash(image), _hash(label)),
        ),
        np.zeros((3, VALUES), np.int64) if image is None else np.stack([histogram(image, channel) for channel in range(3)]),
    )


def _label(path: Path, classes: Classes | None, faults: list[str]) -> tuple[np.ndarray | None, dict, dict]:
    """(H, W) class indices, or what is stored; and the pixels of each stored value, and of each class."""
    stored = None
    try:
        stored = stored_as(path, classes)
        label = stored if classes is None else class_indices(stored, classes, path)
    except DataError as error:
        faults.append(str(error))
        return None, {} if stored is None else stored_values(stored), {}
    if classes is None:
        return label, stored_values(stored), {}
    pixels = _counted(histogram(label))
    if classes.labelling.form == COLOURS and stored.ndim == 3:
        colours = {index: colour for colour, index in classes.labelling.colours}
        return label, {colours[index]: count for index, count in pixels.items() if index in colours}, pixels
    return label, stored_values(stored), pixels


def _image(item: Item, shape: tuple[int, ...] | None, faults: list[str]) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB, turned as its label of this shape is."""
    try:
        return read_image(item.image) if shape is None else fitting_image(item, shape[:2])
    except DataError as error:
        faults.append(str(error))
        return None


def _kind(path: Path) -> str:
    try:
        return image_kind(read_bytes(path))
    except DataError:
        return "unreadable"


def stored_as(path: Path, classes: Classes | None) -> np.ndarray:
    """What a label file stores: (H, W) uint8 or uint16 values or (H, W, 3) uint8 RGB, as the classes are told from.

    Without classes three equal channels are values. Raises DataError.
    """
    if classes is not None:
        return in_form(path, classes)
    stored = read_stored(path)
    values = gray(stored) if stored.ndim == 3 else None
    return stored if values is None else values


def stored_values(stored: np.ndarray) -> dict[Value, int]:
    """Value or colour -> pixels, of (H, W) uint8 or uint16 or (H, W, 3) RGB; the most frequent MOST_VALUES of them."""
    if stored.ndim == 3:
        colours, counts = np.unique(stored.reshape(-1, 3), axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MOST_VALUES]
        return {(int(r), int(g), int(b)): int(count) for (r, g, b), count in zip(colours[order], counts[order], strict=True)}
    counts = histogram(stored) if stored.dtype == np.uint8 else np.bincount(stored.ravel())
    found = _counted(counts)
    return dict(sorted(found.items(), key=lambda entry: -entry[1])[:MOST_VALUES])


def unknown_values(record: Record, classes: Classes) -> dict[int, int]:
    """The stored values of a record that are neither a class's nor ignored -> pixels; none where labels hold colours."""
    table = value_table(classes.labelling, len(classes))
    return {value: count for value, count in record.stored.items() if isinstance(value, int) and table[value] == 0}


def histogram(pixels: np.ndarray, channel: int = 0) -> np.ndarray:
    """(256,) int64: how many pixels of (H, W) or (H, W, C) uint8 have each value in a channel. Other threads go on meanwhile."""
    rows = max(STRIP_PIXELS // max(pixels.shape[1], 1), 1)
    strips = (pixels[top : top + rows] for top in range(0, pixels.shape[0], rows))
    counts = [cv2.calcHist([strip], [channel], None, [VALUES], [0, VALUES])[:, 0].astype(np.int64) for strip in strips]
    return np.sum(counts, axis=0)


def _counted(counts: np.ndarray) -> dict[int, int]:
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def _hash(pixels: np.ndarray | None) -> bytes:
    if pixels is None:
        return b""
    digest = hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()[:16]
