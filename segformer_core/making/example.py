"""What every source gives: images with their labels, not yet divided into train and val."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from segformer_core.data.draft import Class

TRAIN, VAL = "train", "val"


@dataclass(frozen=True, eq=False)
class Region:
    """The pixels of one annotation. `draw` gives them as (H, W) bool, `name` is the class that it states.

    `area` is their number, where it is known without drawing. `below`: painted before all others, as a crowd is.
    """

    name: str
    draw: Callable[[], np.ndarray]
    area: int | None = None
    below: bool = False


class Drawing(Protocol):
    """Labels that are drawn from annotations. `size` is the height and width they were made for; None: the image's own."""

    @property
    def source(self) -> Path: ...

    @property
    def size(self) -> tuple[int, int] | None: ...

    @property
    def empty(self) -> bool:
        """Whether there are no annotations."""

    def regions(self, height: int, width: int) -> list[Region]:
        """The annotations in their order. Raises DataError for one that cannot be drawn."""


class Embedded(Protocol):
    """An image inside another file; `suffix` is the ending that fits it."""

    @property
    def source(self) -> Path: ...

    @property
    def suffix(self) -> str: ...

    def read(self) -> bytes:
        """The content of the image file."""


@dataclass(frozen=True)
class Example:
    """An image and its labels. `name` is that of its files in the new folder, without ending; `split` is empty if undecided."""

    name: str
    image: Path | Embedded
    label: Path | Drawing
    split: str = ""


@dataclass(frozen=True)
class Found:
    """What a source holds. `what` is a clause for the log, `notes` are sentences on what is passed over.

    `classes` are those that the source names, in the order of their indices; empty if it names none. `used` are the names that
    annotations have.
    """

    examples: tuple[Example, ...]
    what: str
    notes: tuple[str, ...] = ()
    classes: tuple[Class, ...] = ()
    used: frozenset[str] = frozenset()
