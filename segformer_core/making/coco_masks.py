"""COCO's segmentations as masks. pycocotools draws; what it is given is checked here, since it trusts its input."""

from types import ModuleType
from typing import Any

import numpy as np

from segformer_core.errors import DataError, install
from segformer_core.making.json_file import Place

Runs = dict[str, Any]
"""pycocotools' run-length encoding."""

FIRST_LETTER, LETTER_BITS, MORE, SIGN = 48, 5, 0x20, 0x10
"""Of the compressed form: a number is written in letters of five bits, the lowest first; MORE: another follows."""
MOST_BITS = 40
SMALLEST_POLYGON = 3


def library() -> ModuleType:
    """pycocotools.mask. Raises DataError with the command that installs it."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise DataError(f"COCO's annotations need pycocotools, which is not installed; {install('coco')}") from error
    module: ModuleType = mask
    return module


def encoded(segmentation: object, place: Place, height: int, width: int) -> Runs:
    """The run lengths of polygons, of uncompressed or of compressed runs. Raises DataError."""
    mask = library()
    if isinstance(segmentation, dict):
        size = segmentation.get("size")
        if size != [height, width]:
            place["size"].refuse(size, f"the image's height and width, [{height}, {width}]")
        counts = segmentation.get("counts")
        here = place["counts"]
        runs = uncompressed(counts, here) if isinstance(counts, str) else here.entries(counts)
        checked = [here[index].integer(count, 0, height * width) for index, count in enumerate(runs)]
        if sum(checked) != height * width:
            here.refuse(counts, f"run lengths that add up to the {height * width} pixels of the image, not to {sum(checked)}")
        made: Runs = mask.frPyObjects({"size": [height, width], "counts": checked}, height, width)
        return made
    polygons = [_polygon(polygon, place[index], height, width) for index, polygon in enumerate(place.entries(segmentation))]
    merged: Runs = mask.merge(mask.frPyObjects(polygons, height, width))
    return merged


def _polygon(values: object, place: Place, height: int, width: int) -> list[float]:
    """x and y of each corner, in turn."""
    numbers = place.entries(values)
    if len(numbers) % 2 or len(numbers) < 2 * SMALLEST_POLYGON:
        place.refuse(values, f"x and y of at least {SMALLEST_POLYGON} corners, in turn")
    sides = (width, height)
    return [place[index].number(number, -sides[index % 2], 2 * sides[index % 2]) for index, number in enumerate(numbers)]


def uncompressed(text: str, place: Place) -> list[int]:
    """The run lengths of the compressed form: from the fourth on, each is the difference to that two before."""
    counts: list[int] = []
    value = bits = 0
    for letter in text:
        part = ord(letter) - FIRST_LETTER
        if not 0 <= part < 2 * MORE or bits > MOST_BITS:
            place.refuse(text, "compressed run lengths")
        value |= (part & MORE - 1) << bits
        bits += LETTER_BITS
        if not part & MORE:
            if part & SIGN:
                value -= 1 << bits
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = bits = 0
    if bits:
        place.refuse(text, "compressed run lengths, whole")
    return counts


def decoded(runs: Runs) -> np.ndarray:
    """(H, W) bool."""
    pixels: np.ndarray = library().decode(runs)
    return pixels.astype(bool)


def area(runs: Runs) -> int:
    return int(library().area(runs))
