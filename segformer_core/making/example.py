"""What every source gives: images with their labels, not yet divided into train and val."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from segformer_core.making.description import Class

TRAIN, VAL = "train", "val"


class Drawing(Protocol):
    """Labels that are drawn from an annotation. `source` is the file that holds it."""

    source: Path

    def regions(self, height: int, width: int) -> "list[Region]":
        """What to paint, in the order of painting. Raises DataError if it does not fit an image of this size."""


@dataclass(frozen=True, eq=False)
class Region:
    """(H, W) bool, the pixels of one annotation, and the name of their class; None: they do not count."""

    mask: np.ndarray
    name: str | None


@dataclass(frozen=True)
class Embedded:
    """The content of an image file that is stored inside another file; `suffix` is the ending that fits it."""

    source: Path
    suffix: str

    def read(self) -> bytes:
        raise NotImplementedError


@dataclass(frozen=True)
class Example:
    """An image and its labels. `name` is that of its files in the new folder, without ending; `split` is empty if undecided."""

    name: str
    image: Path | Embedded
    label: "Path | Drawing"
    split: str = ""


@dataclass(frozen=True)
class Found:
    """What a source holds. `what` is a clause for the log, `notes` are sentences on what is passed over.

    `classes` are those that the source names, in the order of their indices; empty if it names none.
    """

    examples: tuple[Example, ...]
    what: str
    notes: tuple[str, ...] = ()
    classes: tuple[Class, ...] = field(default=())
