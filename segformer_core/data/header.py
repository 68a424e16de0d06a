"""What an image file's header says, before anything is decoded: for files that may be too large to be decoded at once."""

import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segformer_core.data.image_bytes import (
    BIG_TIFF,
    JPEG,
    JPEG_MARKER,
    JPEG_SCAN,
    JPEG_WITHOUT_LENGTH,
    PNG,
    TIFF,
    TiffForm,
    tiff_form,
    tiff_values,
)
from segformer_core.files import special_file

WIDTH, HEIGHT, PIXEL_SCALE, TRANSFORMATION, GEO_KEYS = 0x100, 0x101, 0x830E, 0x85D8, 0x87AF
"""Tags of a TIFF: its size, and those that say where on the earth it is."""

JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers after which a JPEG says its size."""

BMP = re.compile(rb"BM.{12}[\x28-\xff]\0\0\0", re.DOTALL)


@dataclass(frozen=True)
class Header:
    """Height and width as stored. `tiff` is None for other files; `georeferenced`: a TIFF that has a place on the earth."""

    size: tuple[int, int]
    tiff: TiffForm | None = None
    georeferenced: bool = False

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]


class Mapped(mmap.mmap):
    """A file whose bytes are read where they are looked at."""

    def startswith(self, starts: bytes | tuple[bytes, ...]) -> bool:
        return self[:8].startswith(starts)


def read_header(path: Path) -> Header | None:
    """None for a file that is none, or of a kind that is always decoded at once."""
    if special_file(path):
        return None
    try:
        with path.open("rb") as file, Mapped(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _header(data)
    except (OSError, ValueError, IndexError):  # an empty file cannot be mapped
        return None


def _header(data: Any) -> Header | None:
    if data.startswith(TIFF + BIG_TIFF):
        tags = tiff_values(data, {WIDTH, HEIGHT, PIXEL_SCALE, TRANSFORMATION, GEO_KEYS})
        placed = bool(tags.keys() & {PIXEL_SCALE, TRANSFORMATION, GEO_KEYS})
        return Header((tags[HEIGHT], tags[WIDTH]), tiff_form(data), placed) if tags.keys() >= {WIDTH, HEIGHT} else None
    if data.startswith(PNG):
        return Header((int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")))
    if BMP.match(data[:18]):
        height = int.from_bytes(data[22:26], "little", signed=True)
        return Header((abs(height), int.from_bytes(data[18:22], "little")))
    return _jpeg(data) if data.startswith(JPEG) else None


def _jpeg(data: Any) -> Header | None:
    at = 2
    while marker := JPEG_MARKER.search(data, at):
        code, at = marker[1][0], marker.end()
        if code in JPEG_FRAMES:
            return Header((int.from_bytes(data[at + 3 : at + 5], "big"), int.from_bytes(data[at + 5 : at + 7], "big")))
        if code == JPEG_SCAN:
            break
        if code not in JPEG_WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")
    return None
