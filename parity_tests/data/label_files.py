"""Label files as annotation tools write them: each function turns (H, W) stored values into the bytes of a file."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

GRAY, PALETTE = 0, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, TIFF_PALETTE = 0, 1, 3
MADE_PALETTE = [(37 * place + 11) % 256 for place in range(3 * 256)]
"""Colours that are not those of any class."""


def png(values: np.ndarray) -> bytes:
    """Gray of 8 or 16 bits; or RGB or RGBA, from (H, W, 3) or (H, W, 4)."""
    if values.ndim == 3:
        values = values[..., [2, 1, 0, *range(3, values.shape[2])]]
    return cv2.imencode(".png", values)[1].tobytes()


def tiff(values: np.ndarray) -> bytes:
    """Gray of 8 or 16 bits, compressed."""
    return cv2.imencode(".tif", values)[1].tobytes()


def bmp(values: np.ndarray) -> bytes:
    return cv2.imencode(".bmp", values)[1].tobytes()


def pillow(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_palette(values: np.ndarray, colours: list[int] = MADE_PALETTE) -> Image.Image:
    image = Image.fromarray(values.astype(np.uint8), "P")
    image.putpalette(colours)
    return image


def packed_rows(values: np.ndarray, bits: int) -> list[bytes]:
    """Each row in `bits` bits a pixel, filled up to whole bytes."""
    pixels = np.unpackbits(values.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :].reshape(len(values), -1)
    return [row.tobytes() for row in np.packbits(pixels, axis=1)]


def few_bits_png(values: np.ndarray, bits: int, colour_type: int = GRAY) -> bytes:
    """1, 2, 4 or 8 bits a pixel, gray or with a palette; cv2 reads the gray ones and cannot write them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour_type, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(MADE_PALETTE[: 3 * 2**bits])) if colour_type == PALETTE else b""
    rows = b"".join(b"\0" + row for row in packed_rows(values, bits))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def few_bits_tiff(
    values: np.ndarray, bits: int, photometric: int = BLACK_IS_ZERO, order: str = "<", compression: int = 1
) -> bytes:
    """1, 2, 4 or 8 bits a pixel, uncompressed, whatever `compression` says."""
    rows = b"".join(packed_rows(values, bits))
    height, width = values.shape
    entries = [
        (256, width),
        (257, height),
        (258, bits),
        (259, compression),
        (262, photometric),
        (277, 1),
        (278, height),
        (279, len(rows)),
    ]
    count = len(entries) + 1 + (photometric == TIFF_PALETTE)
    after = 8 + 2 + 12 * count + 4
    colours = [value << 8 for channel in range(3) for value in MADE_PALETTE[channel : 3 * 2**bits : 3]]
    table = struct.pack(f"{order}{len(colours)}H", *colours) if photometric == TIFF_PALETTE else b""
    entries.append((273, after + len(table)))
    fields = [struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(entries)]
    if table:
        fields.append(struct.pack(f"{order}HHII", 320, 3, len(colours), after))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, count)
    return head + b"".join(fields) + bytes(4) + table + rows


def painted(labels: np.ndarray, colours: dict[int, tuple[int, int, int]]) -> np.ndarray:
    """(H, W) labels -> (H, W, 3) uint8 RGB."""
    table = np.zeros((256, 3), np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    return table[labels]
