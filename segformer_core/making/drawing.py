"""Paints annotations into a label map, and counts what no annotation covers and what several do."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from segformer_core.data.classes import IGNORED
from segformer_core.making.example import Region

LATER, SMALLER, IGNORE = "later", "smaller", "ignore"
OVERLAPS = {SMALLER: "the smaller one counts", LATER: "the later one counts", IGNORE: "they do not count"}
"""What a pixel is that annotations of several classes cover, and how to say it."""


class Counts(NamedTuple):
    """Pixels: all, without an annotation, and with annotations of several classes."""

    pixels: int = 0
    bare: int = 0
    several: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*(one + more for one, more in zip(self, other, strict=True)))


def paint(
    regions: Iterable[Region], size: tuple[int, int], index: Mapping[str, int], bare: int, overlap: str
) -> tuple[np.ndarray, Counts]:
    """(H, W) uint8: class indices, 255 where ignored, `bare` where nothing is annotated.

    `index` is a class's name -> its label, 255 for one that does not count. With `smaller`, larger regions are painted before
    smaller ones; equal ones, and with `later` all, in their order. Those that are `below` come first.
    """
    ordered = sorted(regions, key=lambda region: (not region.below, -_area(region) if overlap == SMALLER else 0))
    label, done, several = np.full(size, bare, np.uint8), np.zeros(size, bool), np.zeros(size, bool)
    for region in ordered:
        value = index[region.name]
        mask = region.draw()
        several |= mask & done & (label != value)
        label[mask] = value
        done |= mask
    if overlap == IGNORE:
        label[several] = IGNORED
    return label, Counts(label.size, int(label.size - np.count_nonzero(done)), int(np.count_nonzero(several)))


def _area(region: Region) -> int:
    return int(np.count_nonzero(region.draw())) if region.area is None else region.area
