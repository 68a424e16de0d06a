"""Reads what a label file stores: values that stand for classes, or colours."""

from pathlib import Path

import cv2
import numpy as np

from segformer_core.data.image_bytes import (
    BIG_TIFF,
    JPEG,
    PNG,
    PNG_DEPTH,
    PNG_GRAY,
    PNG_GRAY_ALPHA,
    PNG_KIND,
    PNG_PALETTE,
    PNG_RGB,
    PNG_RGBA,
    TIFF,
    TIFF_PALETTE,
    TIFF_WHITE_IS_ZERO,
    is_webp,
    tiff_form,
    tiff_without_palette,
    webp_chunks,
    without_palette,
)
from segformer_core.data.image_file import decode, read_bytes
from segformer_core.errors import DataError

PALETTE = "palette"
PNG_KINDS = {
    PNG_GRAY: "gray PNG", PNG_RGB: "RGB PNG", PNG_PALETTE: f"{PALETTE} PNG", PNG_GRAY_ALPHA: "gray PNG with alpha",
    PNG_RGBA: "RGBA PNG",
}  # fmt: skip
LOSSY_WEBP = b"VP8 "
TIFF_JPEG = (6, 7)
"""JPEG's old and new kind, of a TIFF's tag COMPRESSION."""


def read_stored(path: Path) -> np.ndarray:
    """(H, W) uint8 or uint16: the values that a label file of one channel stores; else (H, W, 3) uint8 RGB.

    Of a palette the indices count, and values of 1, 2 or 4 bits stay 0..2^bits-1. Three equal channels of 16 bits are values,
    since a colour has 8. Raises DataError: lossy compression, a pixel that is not opaque, or a file that cannot be read.
    """
    data = read_bytes(path)
    if kind := _lossy_kind(data):
        raise DataError(f"{path} is a {kind}, whose compression changes labels; save the labels anew, as PNG")
    bits = 8
    if data.startswith(PNG) and len(data) > PNG_KIND:
        bits = data[PNG_DEPTH]
        if data[PNG_KIND] == PNG_PALETTE:
            data = without_palette(data)
    elif form := tiff_form(data):
        if form.colours == TIFF_WHITE_IS_ZERO:
            raise DataError(f"{path} is a TIFF in which 0 is white, so 0 and 1 are read in two ways; save the labels as PNG")
        if form.kind == "uint" and 1 < form.bits < 8:
            raise DataError(f"{path} is a TIFF of {form.bits} bits a pixel; expected 1, 8 or 16: save the labels as PNG")
        bits = form.bits
        if form.colours == TIFF_PALETTE:
            data = tiff_without_palette(data)
    label = decode(path, data, cv2.IMREAD_UNCHANGED)
    if bits in (1, 2, 4) and label.dtype == np.uint8:  # cv2 scales these to 0..255
        label //= 255 // (2**bits - 1)
    if label.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path} holds {label.dtype} values; expected 8 or 16 bits a pixel: save it as an 8-bit gray PNG")
    return label if label.ndim == 2 else _rgb(label, path)


def _lossy_kind(data: bytes) -> str:
    """What an image file is, in words, if its compression changes values; else empty."""
    if data.startswith(JPEG):
        return "JPEG"
    if LOSSY_WEBP in webp_chunks(data):
        return "lossy WebP"
    form = tiff_form(data)
    return "JPEG-compressed TIFF" if form and form.compression in TIFF_JPEG else ""


def _rgb(label: np.ndarray, path: Path) -> np.ndarray:
    """cv2's channels as RGB, or of 16 bits as values. Alpha must be opaque."""
    if label.shape[2] == 4:
        holes = label[..., 3] != np.iinfo(label.dtype).max
        if holes.any():
            row, column = np.argwhere(holes)[0]
            raise DataError(
                f"{path} is transparent at row {row}, column {column}; expected a value or colour in every pixel: "
                "save it without transparency"
            )
    rgb = cv2.cvtColor(label, cv2.COLOR_BGR2RGB if label.shape[2] == 3 else cv2.COLOR_BGRA2RGB)
    if rgb.dtype == np.uint8:
        return rgb
    values = gray(rgb)
    if values is None:
        raise DataError(f"{path} holds colours of 16 bits; expected 8 bits a channel: save it so")
    return values


def gray(rgb: np.ndarray) -> np.ndarray | None:
    """(H, W, 3) -> (H, W) if the three channels are equal, else None."""
    red, green, blue = cv2.split(rgb)
    return red if np.array_equal(red, green) and np.array_equal(red, blue) else None


def unequal_pixel(rgb: np.ndarray) -> tuple[int, int, list[int]]:
    """Row, column and colour of the first pixel whose channels differ."""
    row, column = np.argwhere((rgb != rgb[..., :1]).any(2))[0]
    return int(row), int(column), rgb[row, column].tolist()


def stored_kind(data: bytes) -> str:
    """What an image file is, in words: "8-bit palette PNG"."""
    if data.startswith(PNG) and len(data) > PNG_KIND:
        return f"{data[PNG_DEPTH]}-bit {PNG_KINDS.get(data[PNG_KIND], 'PNG')}"
    if data.startswith(TIFF + BIG_TIFF) and (form := tiff_form(data)):
        colours = PALETTE if form.colours == TIFF_PALETTE else "gray" if form.channels < 3 else "RGB"
        return f"{form.bits}-bit {colours} TIFF"
    return "BMP" if data.startswith(b"BM") else "WebP" if is_webp(data) else "image"
