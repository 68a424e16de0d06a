"""Colours for classes that have none: those of Pascal VOC's colour map."""

from collections.abc import Sequence

RGB = tuple[int, int, int]

MAP_LENGTH = 256


def voc_colour(index: int) -> RGB:
    """Colour `index` of Pascal VOC's map: bits 0, 3, 6, … of the index are red's highest, second, third … bit.

    Green takes bits 1, 4, 7, …, blue bits 2, 5, 8, …
    """
    red, green, blue = (sum((index >> 3 * bit + channel & 1) << 7 - bit for bit in range(8)) for channel in range(3))
    return red, green, blue


def class_colours(given: Sequence[RGB | None], taken: Sequence[RGB] = ()) -> tuple[RGB, ...]:
    """A colour for each class: the given one, else the next of VOC's map that is free. `class_colours([None] * 3)` makes three.

    A made colour is never black, which is painted where pixels are ignored, nor another class's, nor one of `taken`.
    """
    used = {*given, *taken}
    free = (colour for colour in map(voc_colour, range(1, MAP_LENGTH)) if colour not in used)
    return tuple(colour if colour is not None else next(free) for colour in given)
