"""A labelled set of images, and reading its files. Images are RGB; labels are class indices, 255 where ignored."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from segformer_core.data.image_bytes import JPEG, PNG, PNG_DEPTH, palette_bits, without_palette
from segformer_core.data.image_file import decode, read_bytes, read_image
from segformer_core.errors import DataError

IGNORED = 255
"""The label, everywhere in the project, of a pixel that counts neither in the loss nor in a score."""


@dataclass(frozen=True)
class Classes:
    """Names and RGB colours by class index, and the value of ignored pixels in label files.

    `source` is the file that names them; empty: they are Cityscapes', since no file names others.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    ignore_value: int = IGNORED
    source: str = field(default="", compare=False)

    def __len__(self) -> int:
        return len(self.names)

    def palette(self) -> np.ndarray:
        """(256, 3) uint8 RGB by label; black where there is no class."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self)] = self.colours
        return palette


@dataclass(frozen=True)
class Item:
    """An image and, unless it is for inference only, its labels."""

    image: Path
    label: Path | None
    name: str


class Found(NamedTuple):
    """The items of one split, and a sentence on the files that are none; empty if there are no such files."""

    items: tuple[Item, ...]
    note: str = ""


class NoSuchSplit(DataError):
    """A dataset has no images of the split that is asked for."""


def no_images(folder: Path, expected: str, note: str = "") -> NoSuchSplit:
    """The mistake that `folder`, which should hold a split's images, is missing or holds none; it names the splits beside it.

    `note` is a sentence on the files that were passed over.
    """
    there = ", ".join(sorted(path.name for path in folder.parent.glob("*") if path.is_dir() and path != folder))
    beside = f"beside it there is {there}" if there else ""
    return NoSuchSplit("; ".join(filter(None, [f"no images in {folder}; expected {expected}", beside, note])))


@dataclass(frozen=True)
class Dataset:
    """`note` is a sentence on the files that were passed over, empty if there were none."""

    root: Path
    split: str
    classes: Classes
    items: tuple[Item, ...] = field(repr=False)
    note: str = ""

    def __len__(self) -> int:
        return len(self.items)


def read_label(path: Path, classes: Classes) -> np.ndarray:
    """(H, W) uint8: class indices, 255 where ignored. Of a PNG with a palette the indices count, not the colours.

    Raises DataError for any other value, or if it is not 8-bit gray.
    """
    data = read_bytes(path)
    if data.startswith(JPEG):
        raise DataError(f"{path} is a JPEG, whose compression changes labels; save the labels anew, as PNG")
    bits = palette_bits(data)
    if not bits and data.startswith(PNG) and data[PNG_DEPTH] < 8:  # cv2 scales these to 0..255
        raise DataError(f"{path} has {data[PNG_DEPTH]} bits a pixel; a label image holds 8: save it as 8-bit gray")
    label = decode(path, without_palette(data) if bits else data, cv2.IMREAD_UNCHANGED)
    if bits in (1, 2, 4):
        label //= 255 // (2**bits - 1)
    if label.ndim != 2 or label.dtype != np.uint8:
        raise DataError(
            f"{path} is {label.dtype} with {1 if label.ndim == 2 else label.shape[2]} channels; a label image holds one class "
            "index a pixel: save it as 8-bit gray"
        )
    counts = np.bincount(label.ravel(), minlength=256)
    counts[: len(classes)] = counts[classes.ignore_value] = 0
    if counts.any():
        value = int(counts.argmax())
        row, column = np.argwhere(label == value)[0]
        raise DataError(
            f"{path} has label {value} at row {row}, column {column}; expected a class index 0..{len(classes) - 1} or the ignore "
            f"value {classes.ignore_value}"
        )
    if classes.ignore_value != IGNORED:
        label[label == classes.ignore_value] = IGNORED
    return label


def read_pair(item: Item, classes: Classes) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of equal height and width. Raises DataError.

    The EXIF orientation is applied, because annotation tools show images that way. If only the pixels as stored have the
    labels' size, these are returned instead.
    """
    assert item.label is not None
    image, label = read_image(item.image), read_label(item.label, classes)
    if image.shape[:2] != label.shape and (stored := read_image(item.image, as_stored=True)).shape[:2] == label.shape:
        image = stored
    if image.shape[:2] != label.shape:
        raise DataError(
            f"{item.label} is {label.shape[0]}×{label.shape[1]} pixels and its image {item.image} is "
            f"{image.shape[0]}×{image.shape[1]}; expected the same size"
        )
    return image, label
