"""Pictures that are written row by row: PNG, and tiled TIFF with the place on the earth of its source."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from segformer_core.data.image_bytes import PNG, PNG_END
from segformer_core.data.rows import gdal_settings, tiff_dataset
from segformer_core.errors import UserError, brief
from segformer_core.files import atomic_write, temporary_name

Write = Callable[[np.ndarray], object]
"""Takes the next rows: (rows, W) or (rows, W, 3) uint8 RGB."""

PNG_KINDS = {1: 0, 3: 2}
"""Channels -> the number that a PNG has for gray and RGB."""

AS_ABOVE = 2
"""A PNG's filter: a row is written as its differences to the row above."""

LEVEL = 1
"""zlib's; higher ones take several times as long and save little."""

CHUNK_BYTES = 2**20

TILE = 256
"""Rows and columns of a written TIFF's tiles."""

ROOM = 2**26
"""Bytes that must be free on the disk before rows are written: GDAL may not say that a disk is full."""


@contextmanager
def streamed(path: Path, mark: str = "rows") -> Iterator[Path]:
    """A temporary file, which becomes `path` when the context is left without an exception, and else is removed."""
    temporary = temporary_name(path, f"{os.getpid()}-{mark}")
    try:
        try:
            yield temporary
            atomic_write(path, lambda whole: os.replace(temporary, whole))
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
            ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def png_writer(path: Path, size: tuple[int, int], channels: int) -> Iterator[Write]:
    """A function that takes the rows of a PNG of `size` with 1 or 3 `channels`, from the top. Raises UserError."""
    height, width = size
    with streamed(path) as temporary, temporary.open("wb") as file:
        packer, above, pending = zlib.compressobj(LEVEL), np.zeros((1, width * channels), np.uint8), bytearray()

        def write(rows: np.ndarray) -> None:
            nonlocal above
            check_room(path)
            flat = rows.reshape(len(rows), width * channels)
            lines = np.empty((len(rows), 1 + width * channels), np.uint8)
            lines[:, 0] = AS_ABOVE
            lines[0, 1:] = flat[0] - above[0]
            np.subtract(flat[1:], flat[:-1], out=lines[1:, 1:])
            above = flat[-1:].copy()
            for line in range(0, len(rows), step := max(CHUNK_BYTES // lines.shape[1], 1)):
                pending.extend(packer.compress(lines[line : line + step].data))
                if len(pending) >= CHUNK_BYTES:
                    _chunk(file, b"IDAT", bytes(pending))
                    pending.clear()

        file.write(PNG)
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, PNG_KINDS[channels], 0, 0, 0))
        yield write
        _chunk(file, b"IDAT", bytes(pending) + packer.flush())
        _chunk(file, PNG_END, b"")


def _chunk(file: BinaryIO, name: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))


@contextmanager
def tiff_writer(
    path: Path, size: tuple[int, int], channels: int, place: dict[str, Any], nodata: int | None = None
) -> Iterator[Write]:
    """As `png_writer`, of a tiled and compressed TIFF at `place`, as `data.rows.placed` gives it. Raises UserError.

    `nodata` is the value that means that there is none.
    """
    height, width = size
    colours: dict[str, Any] = {"photometric": "RGB", "interleave": "pixel"} if channels == 3 else {"nodata": nodata}
    form = {"height": height, "width": width, "count": channels, "dtype": "uint8", "compress": "deflate", "zlevel": LEVEL}
    tiles = {"tiled": True, "blockxsize": TILE, "blockysize": TILE, "predictor": 2, "BIGTIFF": "IF_SAFER"}
    top, pending = 0, np.empty((0, width, channels), np.uint8)

    from rasterio.errors import RasterioError

    try:
        with streamed(path) as temporary:
            with gdal_settings(), tiff_dataset(temporary, "w", **form, **tiles, **colours, **place) as dataset:

                def put(rows: np.ndarray) -> None:
                    nonlocal top
                    dataset.write(rows.transpose(2, 0, 1), window=((top, top + len(rows)), (0, width)))
                    top += len(rows)

                def write(rows: np.ndarray) -> None:
                    """Whole rows of tiles go to the file, the others wait."""
                    nonlocal pending
                    check_room(path)
                    rows = rows.reshape(len(rows), width, channels)
                    rows = np.concatenate((pending, rows)) if len(pending) else rows
                    full = len(rows) // TILE * TILE
                    for row in range(0, full, TILE):
                        put(rows[row : row + TILE])
                    pending = rows[full:].copy()

                yield write
                if len(pending):
                    put(pending)
            with gdal_settings(), tiff_dataset(temporary) as dataset:  # GDAL writes the last tiles when it closes the file
                dataset.read(1, window=((height - 1, height), (0, width)))
    except RasterioError as error:
        raise UserError(f"cannot write {path} ({brief(str(error))}); free some space or choose another folder") from error


def check_room(path: Path) -> None:
    """Raises UserError if the disk is full."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; its folder was removed or moved: start again") from error
    if free < ROOM:
        raise UserError(f"cannot write {path}: the disk is full; free some space or choose another folder")
