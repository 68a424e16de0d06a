"""PNGs whose rows are neither compressed nor filtered: every program reads them, and there is little to decode."""

import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from segformer_core.data.image_bytes import (
    PNG,
    PNG_DEPTH,
    PNG_GRAY,
    PNG_GRAY_ALPHA,
    PNG_HEADER,
    PNG_HEADER_END,
    PNG_INTERLACE,
    PNG_KIND,
    PNG_PALETTE,
    PNG_RGB,
    PNG_RGBA,
    png_chunks,
    png_of,
    under_header,
    without_palette,
)
from segformer_core.data.image_file import MOST_PIXELS, decode
from segformer_core.errors import DataError

CHANNELS = {PNG_GRAY: 1, PNG_RGB: 3, PNG_PALETTE: 1, PNG_GRAY_ALPHA: 2, PNG_RGBA: 4}
PLAIN = {1: (8, PNG_GRAY), 2: (16, PNG_GRAY), 3: (8, PNG_RGB), 4: (8, PNG_RGBA), 6: (16, PNG_RGB), 8: (16, PNG_RGBA)}
"""Bytes a pixel -> bits and kind of a PNG that cv2 decodes to these bytes. A filter knows only how many a pixel has."""

PART = 2**20
"""Bytes of a chunk of rows."""


def unpacked(data: bytes, source: Path) -> bytes | None:
    """A PNG -> the PNG with the same rows, neither compressed nor filtered, and with the same other chunks.

    None: the data are no PNG, or one that stays as it is, since it is interlaced or animated. Raises DataError if it cannot be
    decoded.
    """
    row = row_bytes(data)
    chunks = list(png_chunks(data)) if row else []
    if not row or any(name == b"acTL" for name, _, _ in chunks):
        return None
    rows = zlib.compress(_rows(data, source, *row).tobytes(), 0)
    parts, first = [], True
    for name, start, end in chunks:
        if name != b"IDAT":
            parts.append((name, data[start:end]))
        elif first:
            parts += [(b"IDAT", rows[at : at + PART]) for at in range(0, len(rows), PART)]
            first = False
    return png_of(parts)


def row_bytes(data: bytes) -> tuple[int, int] | None:
    """From a PNG's first bytes: those of a pixel, 1 if it has fewer, and of a row. None: no PNG, or one that stays as it is."""
    if not data.startswith(PNG) or len(data) < PNG_HEADER_END or data[PNG_INTERLACE] or data[PNG_KIND] not in CHANNELS:
        return None
    height, width = _size(data)
    bits = CHANNELS[data[PNG_KIND]] * data[PNG_DEPTH]
    pixel, row = max(bits // 8, 1), (width * bits + 7) // 8
    return (pixel, row) if pixel in PLAIN and row % pixel == 0 and 0 < height * width <= MOST_PIXELS else None


def _size(data: bytes) -> tuple[int, int]:
    """Height and width."""
    return int.from_bytes(data[PNG_HEADER + 4 : PNG_DEPTH], "big"), int.from_bytes(data[PNG_HEADER : PNG_HEADER + 4], "big")


def unpacked_size(data: bytes) -> int | None:
    """About how many bytes the result of `unpacked` has, from a PNG's first ones; None as there."""
    row = row_bytes(data)
    return _size(data)[0] * (1 + row[1]) * 1001 // 1000 + 1000 if row else None


def _rows(data: bytes, source: Path, pixel: int, row: int) -> np.ndarray:
    """(H, 1 + row) uint8: the bytes of each row, after a 0 that says that it is not filtered."""
    bits, kind = PLAIN[pixel]
    header = (row // pixel).to_bytes(4, "big") + data[PNG_HEADER + 4 : PNG_DEPTH] + bytes([bits, kind, 0, 0, 0])
    values = decode(source, under_header(data, header), cv2.IMREAD_UNCHANGED)
    if kind != PNG_GRAY:
        values = cv2.cvtColor(values, cv2.COLOR_BGR2RGB if kind == PNG_RGB else cv2.COLOR_BGRA2RGBA)
    rows = np.zeros((len(values), 1 + row), np.uint8)
    rows[:, 1:] = values.astype(values.dtype.newbyteorder(">")).view(np.uint8).reshape(len(values), row)
    return rows


def check_same_pixels(data: bytes, other: bytes, source: Path) -> None:
    """Raises DataError unless both decode to the same numbers; of a palette, to the same colours and indices."""
    readers: list[Callable[[bytes], bytes]] = [bytes, without_palette]
    for read in readers if data[PNG_KIND] == PNG_PALETTE else readers[:1]:
        one, another = (decode(source, read(each), cv2.IMREAD_UNCHANGED) for each in (data, other))
        if one.dtype != another.dtype or not np.array_equal(one, another):
            raise DataError(
                f"{source} gave other pixels when its copy was read back; replace it if it is damaged, or check the disk"
            )
