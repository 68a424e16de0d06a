"""Names and colours of classes of which a file of weights says some or nothing."""

import colorsys
from collections.abc import Sequence

from segformer_core.data import cityscapes
from segformer_core.data.dataset import Classes

GOLDEN = 0.618033988749895
"""Of the colour circle, from one class's hue to the next: no two of 255 are equal, and neighbours are far apart."""


def named_classes(names: Sequence[str], colours: Sequence[tuple[int, int, int]], count: int, source: str) -> Classes:
    """`count` classes by the names and colours that `source` states; each is empty or has `count` entries.

    Without names 19 classes are Cityscapes', and others class_0, class_1, …; without colours Cityscapes' names have its own, and
    others are given different ones.
    """
    if not names and count == len(cityscapes.CLASSES):
        names = cityscapes.CLASSES.names
    if not names:
        names = [f"class_{index}" for index in range(count)]
    if not colours:
        colours = cityscapes.CLASSES.colours if _plain(names) == _plain(cityscapes.CLASSES.names) else generated_colours(count)
    return Classes(tuple(names), tuple(colours), source=source)


def generated_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """`count` different RGB colours, 0..255, none of them black, which is the colour of ignored pixels."""
    shades = ((0.75, 0.95), (0.55, 0.75), (0.9, 0.6))
    parts = (colorsys.hsv_to_rgb(index * GOLDEN % 1.0, *shades[index % len(shades)]) for index in range(count))
    return tuple((round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in parts)


def _plain(names: Sequence[str]) -> list[str]:
    return [name.casefold().replace("_", " ").strip() for name in names]
