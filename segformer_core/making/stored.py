"""What mask files store, before anything is said of its meaning: indices or colours, and which of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from segformer_core.data.image_bytes import JPEG, PNG, PNG_DEPTH, PNG_GRAY, PNG_KIND, palette_bits, png_chunks, without_palette
from segformer_core.data.image_file import decode, read_bytes, read_image
from segformer_core.errors import DataError
from segformer_core.making.description import Colour

OPAQUE = 255
INDEX, EQUAL, COLOUR = "index", "equal", "colour"
"""Kinds of masks: one channel; three channels that are equal everywhere; three channels."""


class Stored(NamedTuple):
    """(H, W) integers: an index, or a colour as 65536 r + 256 g + b. `palette` is index -> colour, empty without one."""

    pixels: np.ndarray
    kind: str
    palette: dict[int, Colour]


def read_stored(path: Path, coloured: bool = False) -> Stored:
    """The mask as it is stored; `coloured`: of one channel, the colours of its palette, or its shades. Raises DataError for what
    can hold no labels."""
    data = read_bytes(path)
    if data.startswith(JPEG):
        raise DataError(f"{path} is a JPEG, whose compression changes labels; save the masks anew, as PNG")
    bits = palette_bits(data)
    pixels = decode(path, without_palette(data) if bits else data, cv2.IMREAD_UNCHANGED)
    low = bits or (data[PNG_DEPTH] if data.startswith(PNG) and data[PNG_KIND] == PNG_GRAY else 8)
    if low < 8:
        pixels = pixels // (255 // (2**low - 1))  # cv2 scales these to 0..255
    if pixels.dtype not in (np.uint8, np.uint16) or (pixels.ndim == 3 and pixels.dtype != np.uint8):
        raise DataError(f"{path} holds {pixels.dtype} values; expected indices of 8 or 16 bits, or colours of 8 bits a channel")
    if pixels.ndim == 2 and coloured:
        return Stored(_packed(read_image(path, as_stored=True)), COLOUR, {})
    if pixels.ndim == 2:
        return Stored(pixels, INDEX, _palette(data) if bits else {})
    if pixels.shape[2] == 4:
        if (pixels[..., 3] != OPAQUE).any():
            raise DataError(f"{path} has transparent pixels, whose colour means nothing; save the mask without transparency")
        pixels = pixels[..., :3]
    if pixels.shape[2] != 3:
        raise DataError(f"{path} has {pixels.shape[2]} channels; expected one index a pixel, or three for a colour")
    equal = np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 1], pixels[..., 2])
    return Stored(_packed(pixels[..., ::-1]), EQUAL if equal and not coloured else COLOUR, {})


def _packed(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = (rgb[..., channel].astype(np.int32) for channel in range(3))
    packed: np.ndarray = red << 16 | green << 8 | blue
    return packed


def _palette(data: bytes) -> dict[int, Colour]:
    content = next((data[start:end] for name, start, end in png_chunks(data) if name == b"PLTE"), b"")
    return {index: (content[3 * index], content[3 * index + 1], content[3 * index + 2]) for index in range(len(content) // 3)}


def colour_of(value: int) -> Colour:
    return value >> 16, value >> 8 & 255, value & 255


def value_of(colour: Colour) -> int:
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
    palette: dict[int, tuple[Colour, Path]] = field(default_factory=dict)
    clash: str = ""

    @property
    def coloured(self) -> bool:
        return self.kind == COLOUR


class Examined(NamedTuple):
    """The values of one mask, and the colours of its palette that it uses."""

    path: Path
    kind: str
    values: np.ndarray
    palette: dict[int, Colour]


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
