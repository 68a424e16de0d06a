"""What mask files store, before anything is said of its meaning: indices or colours, and which of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segformer_core.data import stored_label
from segformer_core.data.colours import RGB
from segformer_core.data.image_bytes import PNG, png_chunks
from segformer_core.data.image_file import read_bytes, read_colours
from segformer_core.errors import DataError

INDEX, EQUAL, COLOUR = "index", "equal", "colour"
"""Kinds of masks: one channel; three channels that are equal everywhere; three channels."""


class Stored(NamedTuple):
    """(H, W) integers: an index, or a colour as 65536 r + 256 g + b. `palette` is index -> colour, empty without one."""

    pixels: np.ndarray
    kind: str
    palette: dict[int, RGB]


def read_stored(path: Path, coloured: bool = False) -> Stored:
    """The mask as training reads it; `coloured`: of one channel, the colours of its palette, or its shades. Raises DataError."""
    pixels = stored_label.read_stored(path)
    if pixels.ndim == 2 and not coloured:
        return Stored(pixels, INDEX, _palette(read_bytes(path)))
    if pixels.ndim == 2:
        pixels = read_colours(path)
    return Stored(_packed(pixels), EQUAL if not coloured and stored_label.gray(pixels) is not None else COLOUR, {})


def _packed(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = (rgb[..., channel].astype(np.int32) for channel in range(3))
    packed: np.ndarray = red << 16 | green << 8 | blue
    return packed


def _palette(data: bytes) -> dict[int, RGB]:
    chunks = png_chunks(data) if data.startswith(PNG) else ()
    content = next((data[start:end] for name, start, end in chunks if name == b"PLTE"), b"")
    return {index: (content[3 * index], content[3 * index + 1], content[3 * index + 2]) for index in range(len(content) // 3)}


def colour_of(value: int) -> RGB:
    return value >> 16, value >> 8 & 255, value & 255


def value_of(colour: RGB) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def distinct(pixels: np.ndarray) -> np.ndarray:
    """The sorted values of an image; quick, since neighbours are mostly equal."""
    flat = pixels.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    return np.unique(np.concatenate([flat[:1], flat[changes]]))


def place(path: Path, value: int, coloured: bool = False) -> str:
    """Where a mask first has a value, or a colour, as "row 3, column 5"."""
    stored = read_stored(path, coloured)
    pixels = stored.pixels & 255 if stored.kind == EQUAL else stored.pixels
    row, column = np.argwhere(pixels == value)[0]
    return f"row {row}, column {column}"


@dataclass
class Seen:
    """What the masks of a data set store together. `first` is value -> the first mask that has it."""

    kind: str = INDEX
    first: dict[int, Path] = field(default_factory=dict)
    palette: dict[int, tuple[RGB, Path]] = field(default_factory=dict)
    clash: str = ""

    @property
    def coloured(self) -> bool:
        return self.kind == COLOUR


class Examined(NamedTuple):
    """The values of one mask, and the colours of its palette that it uses."""

    path: Path
    kind: str
    values: np.ndarray
    palette: dict[int, RGB]


def examine(path: Path, stored: Stored) -> Examined:
    values = distinct(stored.pixels)
    return Examined(
        path, stored.kind, values, {value: stored.palette[value] for value in values.tolist() if value in stored.palette}
    )


def together(examined: Iterable[Examined]) -> Seen:
    """Decides once for all masks whether they hold indices or colours. Raises DataError if some hold these and some those."""
    masks = list(examined)
    coloured = [mask for mask in masks if mask.kind == COLOUR]
    plain = [mask for mask in masks if mask.kind == INDEX]
    if coloured and plain:
        raise DataError(
            f"{coloured[0].path} holds colours and {plain[0].path} one channel of indices; expected one kind: convert some, or "
            "say --label_form colours if the palette or the shades of gray are colours, too"
        )
    seen = Seen(COLOUR if coloured else plain[0].kind if plain else EQUAL)
    for mask in masks:
        for value in mask.values.tolist():
            seen.first.setdefault(value if coloured or mask.kind == INDEX else value & 255, mask.path)
        for value, colour in mask.palette.items():
            known, path = seen.palette.setdefault(value, (colour, mask.path))
            if known != colour and not seen.clash:
                seen.clash = f"label {value} is {known} in the palette of {path} and {colour} in that of {mask.path}"
    return seen
