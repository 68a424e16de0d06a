"""Reads image files as 8-bit RGB, the way a viewer shows them."""

from pathlib import Path

import cv2
import numpy as np

from segformer_core.data.image_bytes import is_complete, is_webp, other_kind, tiff_form, webp_orientation
from segformer_core.data.quiet import quiet_decoders
from segformer_core.errors import DataError
from segformer_core.files import special_file

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""The endings that make a folder's files images. A file that the user names itself is recognised by its content."""

MOST_PIXELS = 2**30
"""OpenCV's limit, which it checks before it takes memory: about 3 GB for three 8-bit channels."""

CHANNELS = (1, 2, 3, 4)
"""Gray, gray and alpha, RGB, RGB and alpha or CMYK."""

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
    """The file's content. Raises DataError if it cannot be read, is no regular file, is empty or is truncated."""
    if special := special_file(path):
        raise DataError(f"{path} is {special}; expected a file")
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not is_complete(data):
        raise DataError(f"{path} is empty or truncated ({len(data)} bytes); copy it again")
    return data


def decode(path: Path, data: bytes, flags: int) -> np.ndarray:
    """The image that cv2 decodes from `data`, in cv2's order of channels. Raises DataError."""
    _check_tiff(path, data)
    try:
        with quiet_decoders():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise DataError(_why(path, error)) from error
    if image is None:
        why = other_kind(data) or "is damaged, or no image of a kind that can be decoded; replace it"
        raise DataError(f"{path} {why}")
    return image


def _check_tiff(path: Path, data: bytes) -> None:
    """Raises DataError for a TIFF that is sound, but no picture: satellite bands, heights, distances."""
    form = tiff_form(data)
    if form is None:
        return
    if form.kind != "uint" or form.bits > 16:
        raise DataError(f"{path} holds {form.kind}{form.bits} values; expected 8 or 16 bits a channel: convert it")
    if form.channels not in CHANNELS:
        raise DataError(f"{path} has {form.channels} channels; expected 1, 3 or 4: convert it")
    if form.channels == 2 and form.separate:
        raise DataError(f"{path} has 2 channels in planes of their own; expected 1, 3 or 4: convert it")


def _why(path: Path, error: cv2.error) -> str:
    if "IO_MAX_IMAGE" in error.err:
        return f"{path} is too large; expected at most {MOST_PIXELS:,} pixels, and {2**20:,} a side: cut it into parts"
    if error.code == cv2.Error.StsNoMem:
        return f"{path} needs more memory than there is; cut it into parts"
    return f"{path} cannot be decoded: {error.err.splitlines()[0] if error.err else error}; replace it"


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """The (H, W, C) image, flipped and rotated as the EXIF orientation says."""
    transpose, flip = TURNS.get(orientation, (False, None))
    image = cv2.transpose(image) if transpose else image
    return image if flip is None else cv2.flip(image, flip)
