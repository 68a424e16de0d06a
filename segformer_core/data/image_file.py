"""Reads image files as 8-bit RGB, the way a viewer shows them."""

import os
import re
from pathlib import Path

import cv2
import numpy as np

from segformer_core.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""The endings that make a folder's files images. A file that the user names itself is recognised by its content."""

PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
JPEG, JPEG_SCAN, JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
RIFF, WEBP = b"RIFF", b"WEBP"
WEBP_EXIF = re.compile(rb"EXIF.{4}(?:Exif\0\0)?(?=II\*\0|MM\0\*)", re.DOTALL)
"""The head of a WebP's EXIF chunk: its name, its size and, in some files, JPEG's prefix. A TIFF header follows."""

ORIENTATION_TAG = 0x112
TURNS: dict[int, tuple[bool, int | None]] = {
    2: (False, 1), 3: (False, -1), 4: (False, 0), 5: (True, None), 6: (True, 1), 7: (True, -1), 8: (True, 0)
}  # fmt: skip
"""EXIF orientation -> (whether to swap rows and columns, the code with which cv2 then flips)."""


def read_image(path: Path, as_stored: bool = False) -> np.ndarray:
    """(H, W, 3) uint8 RGB. Raises DataError for a missing, truncated or undecodable file.

    Gray becomes three equal channels, and a palette index its colour. Alpha is dropped; the colours stay as stored (a TIFF's
    are multiplied by alpha). Of 16 bits the upper 8 are kept. CMYK is converted without its colour profile. The EXIF
    orientation is applied unless `as_stored` is set; a TIFF's is always applied.
    """
    data = read_bytes(path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    webp = is_webp(data)
    image = decode(path, data, flags | cv2.IMREAD_IGNORE_ORIENTATION if as_stored or webp else flags)
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise DataError(f"{path} holds {image.dtype} values; expected 8 or 16 bits a channel: convert it")
    if webp and not as_stored:  # cv2 does not read a WebP's orientation
        image = turned(image, webp_orientation(data))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_bytes(path: Path) -> bytes:
    """The file's content. Raises DataError if it cannot be read, is empty or is truncated."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if not is_complete(data):
        raise DataError(f"{path} is empty or truncated ({len(data)} bytes); copy it again")
    return data


def is_complete(data: bytes) -> bool:
    """Whether the bytes of an image file reach its end; cv2 decodes a truncated PNG or JPEG without an error.

    Data may follow the end mark of a JPEG (cameras append some), and a thumbnail before its scan has an end mark too.
    """
    if data.startswith(PNG):
        return PNG_END in data[-64:]
    if data.startswith(JPEG):
        return data.rfind(JPEG_END) > data.rfind(JPEG_SCAN)
    if is_webp(data):
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return bool(data)


def is_webp(data: bytes) -> bool:
    return data.startswith(RIFF) and data[8:12] == WEBP


def decode(path: Path, data: bytes, flags: int) -> np.ndarray:
    """The image that cv2 decodes from `data`, in cv2's order of channels. Raises DataError."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # for example more pixels than cv2 accepts
        raise DataError(f"{path} cannot be decoded: {error.err}; replace it") from error
    if image is None:
        raise DataError(f"{path} is damaged, or no image of a kind that can be decoded; replace it")
    return image


def webp_orientation(data: bytes) -> int:
    """The EXIF orientation in a WebP, 1..8; 1, as stored, if there is none or the EXIF data are damaged.

    Pillow is no help here: it warns of damaged data, which cannot be silenced for one thread, and refuses large images.
    """
    chunk = WEBP_EXIF.search(data)
    if not chunk:
        return 1
    exif = data[chunk.end() :]

    def number(at: int, size: int) -> int:
        return int.from_bytes(exif[at : at + size], "little" if exif.startswith(b"II") else "big")

    first = number(4, 4)
    for entry in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        if number(entry, 2) == ORIENTATION_TAG:
            return number(entry + 8, 2)
    return 1


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """The (H, W, C) image, flipped and rotated as the EXIF orientation says."""
    transpose, flip = TURNS.get(orientation, (False, None))
    image = cv2.transpose(image) if transpose else image
    return image if flip is None else cv2.flip(image, flip)


def quiet_decoders() -> None:
    """Silence OpenCV's and FFmpeg's own messages; this project reports the same errors itself.

    FFmpeg reads the setting when the process opens its first video.
    """
    if hasattr(cv2, "setLogLevel"):  # not in OpenCV 5
        cv2.setLogLevel(0)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
