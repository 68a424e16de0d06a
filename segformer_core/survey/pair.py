"""What one image and its label hold, and why they cannot be used together."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segformer_core.data.class_indices import class_indices, value_table
from segformer_core.data.classes import COLOURS, IGNORED, Classes, Value
from segformer_core.data.dataset import Item, fitting_image, read_label
from segformer_core.data.histogram import VALUES, histogram, value_counts
from segformer_core.data.image_bytes import PNG, PNG_DEPTH, PNG_GRAY, PNG_KIND, PNG_RGBA, sound_png_size
from segformer_core.data.image_file import read_bytes, read_image
from segformer_core.data.image_form import GRAY, RGB, RGB_CHANNELS, ImageForm, RangeQuestion
from segformer_core.data.label_form import in_form
from segformer_core.data.stored_label import gray, read_stored
from segformer_core.errors import DataError
from segformer_core.survey.kinds import image_kind
from segformer_core.survey.moments import Moments

EIGHT_BITS = 8

MOST_VALUES = 300
"""A label that stores more different values or colours is a picture; of the rest of them only the number is kept."""


class Examined(NamedTuple):
    """Why a pair cannot be used, empty if it can; and (256,) bool, the values that its label has, 255 where ignored.

    `asks`: the fault is a question of image_range, the same for all images.
    """

    fault: str
    values: np.ndarray
    asks: bool = False


def examined(item: Item, classes: Classes, form: ImageForm) -> Examined:
    """The fast examination, which is enough to train.

    Labels are decoded, and images as well, except PNGs whose header tells that they are of the form: their check sums say
    whether they are sound.
    """
    assert item.label is not None
    try:
        data = read_bytes(item.image)
        size = sound_png_size(data) if png_fits(data, form.channels) else None
        label = read_label(item.label, classes)
        if label.shape != size:
            fitting_image(item, label.shape, form)
    except DataError as error:
        return Examined(str(error), np.zeros(VALUES, bool), isinstance(error, RangeQuestion))
    return Examined("", histogram(label) > 0)


def png_fits(data: bytes, channels: int) -> bool:
    """Whether a PNG's header alone says that it is read, with 8 bits, as an image of so many channels."""
    if not data.startswith(PNG) or len(data) <= PNG_KIND or data[PNG_DEPTH] > EIGHT_BITS:
        return False
    return channels == RGB_CHANNELS or data[PNG_KIND] == {GRAY: PNG_GRAY, 4: PNG_RGBA}.get(channels)


@dataclass(frozen=True)
class Record:
    """What is kept of a pair.

    fault       why it cannot be used; empty if it can
    size        height and width as the network sees the image; None if it cannot be read
    kinds       of the image file and of the label file: "8-bit RGB PNG"
    stored      value or colour in the label file -> pixels
    pixels      class index, or 255 for ignored -> pixels; empty if that cannot be told
    asks        the fault is that nobody says which of the image's values become 0 and 255
    hashes      of the image's pixels as read and of the label's class indices, or stored values; empty if one cannot be read
    """

    split: str
    item: Item
    fault: str = ""
    size: tuple[int, int] | None = None
    kinds: tuple[str, str] = ("", "")
    stored: Mapping[Value, int] = field(default_factory=dict)
    pixels: Mapping[int, int] = field(default_factory=dict)
    hashes: tuple[bytes, bytes] = (b"", b"")
    asks: bool = False

    @property
    def counted(self) -> int:
        """Pixels that are not ignored."""
        return sum(count for index, count in self.pixels.items() if index != IGNORED)

    @property
    def ignored_share(self) -> float:
        return self.pixels.get(IGNORED, 0) / max(sum(self.pixels.values()), 1)


class Whole(NamedTuple):
    """The examination of everything: a record, and the image's sums by channel."""

    record: Record
    moments: Moments


def examined_whole(split: str, item: Item, classes: Classes | None, form: ImageForm = RGB) -> Whole:
    """Reads and decodes both files. Without `classes` a label's values are only counted as they are stored."""
    assert item.label is not None
    faults: list[str] = []
    label, stored, pixels = _label(item.label, classes, faults)
    image, asks = _image(item, None if label is None else label.shape, form, faults)
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
            asks,
        ),
        Moments.none(form.channels) if image is None else Moments.of(image),
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


def _image(item: Item, shape: tuple[int, ...] | None, form: ImageForm, faults: list[str]) -> tuple[np.ndarray | None, bool]:
    """The image, turned as its label of this shape is; and whether its range must be said first."""
    try:
        return (read_image(item.image, form) if shape is None else fitting_image(item, shape[:2], form)), False
    except DataError as error:
        faults.append(str(error))
        return None, isinstance(error, RangeQuestion)


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
    found = _counted(value_counts(stored))
    return dict(sorted(found.items(), key=lambda entry: -entry[1])[:MOST_VALUES])


def unknown_values(record: Record, classes: Classes) -> dict[int, int]:
    """The stored values of a record that are neither a class's nor ignored -> pixels; none where labels hold colours."""
    table = value_table(classes.labelling, len(classes))
    return {value: count for value, count in record.stored.items() if isinstance(value, int) and table[value] == 0}


def _counted(counts: np.ndarray) -> dict[int, int]:
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def _hash(pixels: np.ndarray | None) -> bytes:
    if pixels is None:
        return b""
    digest = hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()[:16]
