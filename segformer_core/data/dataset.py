"""A labelled set of images, and reading its files. Labels are class indices, 255 where ignored."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segformer_core.data.class_indices import class_indices
from segformer_core.data.classes import COLOURS, Classes
from segformer_core.data.classes import IGNORED as IGNORED
from segformer_core.data.image_file import read_image
from segformer_core.data.image_form import RGB, ImageForm
from segformer_core.data.label_form import in_form
from segformer_core.errors import DataError


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


class NoLabels(DataError):
    """No image of the split has a label, as in a split for inference only."""


def no_images(folder: Path, expected: str, note: str = "") -> NoSuchSplit:
    """The mistake that `folder`, which should hold a split's images, is missing or holds none; it names the splits beside it.

    `note` is a sentence on the files that were passed over.
    """
    there = ", ".join(sorted(path.name for path in folder.parent.glob("*") if path.is_dir() and path != folder))
    beside = f"beside it there is {there}" if there else ""
    return NoSuchSplit("; ".join(filter(None, [f"no images in {folder}; expected {expected}", beside, note])))


@dataclass(frozen=True)
class Dataset:
    """`note` is a sentence on the files that were passed over, empty if there were none; `labels` says how labels are read.

    `form` is how images are read for training.
    """

    root: Path
    split: str
    classes: Classes
    items: tuple[Item, ...] = field(repr=False)
    note: str = ""
    labels: str = ""
    form: ImageForm = RGB

    def __len__(self) -> int:
        return len(self.items)


def digest_of(dataset: Dataset) -> str:
    """16 hexadecimal digits of the SHA-256 of what a run's labels mean: names of classes and images, values and colours.

    It does not depend on where the data are, nor on their pixels.
    """
    classes, labelling = dataset.classes, dataset.classes.labelling
    stored: tuple[object, object]
    if labelling.form == COLOURS:
        stored = labelling.colours, sorted(labelling.ignored_colours)
    else:
        stored = sorted(labelling.class_values(len(classes)).items()), sorted(labelling.ignored_values(len(classes)))
    told = [classes.names, labelling.form, *stored, [item.name for item in dataset.items]]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def read_label(path: Path, classes: Classes) -> np.ndarray:
    """(H, W) uint8: class indices, 255 where ignored.

    The file stores indices, in gray, in three equal channels or in a palette, or colours: `classes.labelling` says which, and
    which value or colour means which class. Raises DataError for any other value or colour, and for a file that stores the
    classes in another way.
    """
    return class_indices(in_form(path, classes), classes, path)


def read_pair(item: Item, classes: Classes, form: ImageForm = RGB) -> tuple[np.ndarray, np.ndarray]:
    """Image, as `read_image` has it, and labels of equal height and width. Raises DataError.

    The EXIF orientation is applied, because annotation tools show images that way. If only the pixels as stored have the
    labels' size, these are returned instead.
    """
    assert item.label is not None
    label = read_label(item.label, classes)
    return fitting_image(item, label.shape, form), label


def fitting_image(item: Item, size: tuple[int, ...], form: ImageForm = RGB) -> np.ndarray:
    """The image as `read_image` has it, turned so that it has its label's `size`, (height, width). Raises DataError."""
    image = read_image(item.image, form)
    if image.shape[:2] != size and (stored := read_image(item.image, form, as_stored=True)).shape[:2] == size:
        image = stored
    if image.shape[:2] != size:
        raise DataError(
            f"{item.label} is {size[0]}×{size[1]} pixels and its image {item.image} is {image.shape[0]}×{image.shape[1]}; "
            "expected the same size"
        )
    return image
