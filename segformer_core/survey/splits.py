"""Finds the pairs of image and label of every split, with all the files that are no pair; and how the labels store their classes.

`open_dataset` stops at the first mistake, as a training must; here the mistakes are collected.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from segformer_core.data import cityscapes, folder
from segformer_core.data.classes import Classes
from segformer_core.data.dataset import Found, Item, NoSuchSplit
from segformer_core.data.description import find_description, read_description
from segformer_core.data.label_form import described, settled
from segformer_core.data.layout import open_dataset
from segformer_core.data.listing import is_folder
from segformer_core.data.split_files import IMAGES, Files
from segformer_core.errors import DataError

SPLITS = ("train", "val", "test")
LABELLED = ("train", "val")
"""The splits that need labels."""


@dataclass(frozen=True)
class Split:
    """`faults` are sentences on files of the split that are no pair; `notes` on those that were passed over."""

    name: str
    pairs: tuple[Item, ...]
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A dataset on disk.

    named        the classes; None: no file names them
    description  the file that names them; None: there is none
    question     what must be answered before it is known how the labels store them; empty: it is known
    labels       one line on how the labels are read
    """

    root: Path
    splits: tuple[Split, ...]
    named: Classes | None
    description: Path | None
    question: str = ""
    labels: str = ""

    @property
    def classes(self) -> Classes | None:
        """The classes with which the labels can be read."""
        return None if self.question else self.named


def find_layout(data_path: str, dataset_file: str = "") -> Layout:
    """The dataset at `data_path`. Raises UserError if there is none, or if its description cannot be read."""
    root = Path(data_path)
    file = find_description(root, dataset_file)
    if not is_folder(root):
        open_dataset(data_path, LABELLED[0])  # says so
    if file is not None:
        description = read_description(file)
        splits = _splits(root, partial(folder.find_items, layout=description.files), description.files)
        return _settled(Layout(root, splits, description.classes, file))
    if any(cityscapes.find_folder(root, cityscapes.IMAGES, split) for split in LABELLED):
        return _settled(Layout(root, _splits(root, cityscapes.find_items, None), cityscapes.CLASSES, None))
    if not is_folder(root / IMAGES):
        open_dataset(data_path, LABELLED[0])  # says what was expected, and whether there is a dataset deeper
    return Layout(root, _splits(root, folder.find_items, Files()), None, None)


def _settled(layout: Layout) -> Layout:
    """The layout with the form of its labels, or with the question that has to be answered first."""
    labels = [item.label for split in layout.splits for item in split.pairs if item.label]
    assert layout.named is not None
    try:
        classes = settled(layout.named, labels)
    except DataError as error:
        return replace(layout, question=str(error))
    return replace(layout, named=classes, labels=described(classes, labels))


def _splits(root: Path, find: Callable[[Path, str, bool], Found], files: Files | None) -> tuple[Split, ...]:
    found = (_split(root, name, find, files) for name in SPLITS)
    return tuple(split for split in found if split is not None)


def _split(root: Path, name: str, find: Callable[[Path, str, bool], Found], files: Files | None) -> Split | None:
    """None if there is no such split, or if it has no labels and needs none."""
    try:
        images = find(root, name, False)
        places = files.places(root, name) if files else None
        labels = folder.labels_of(places, files) if places and files else None
    except NoSuchSplit:
        return None
    except DataError as error:
        return Split(name, (), (str(error),))
    notes = [images.note] if images.note else []
    faults: list[str] = []
    if name not in LABELLED and labels == {}:
        return None
    try:
        pairs = find(root, name, True).items
    except DataError as error:
        if name not in LABELLED and not labels:
            return None
        known = labels or {}
        pairs = tuple(Item(item.image, known[item.name], item.name) for item in images.items if item.name in known)
        missing = [item.image for item in images.items if labels is not None and item.name not in labels]
        faults = [str(error), *(f"{image} has no label" for image in missing if str(image) not in str(error))]
    alone = sorted(set(labels or {}) - {item.name for item in images.items})
    if alone and labels and places and places.names is None:  # a list names some of the images of its folder
        notes.append(f"labels of {name} that have no image: {len(alone)}, such as {labels[alone[0]]}")
    return Split(name, pairs, tuple(faults), tuple(notes))
