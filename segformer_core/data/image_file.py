"""Reads image files: as 8-bit RGB, the way a viewer shows them, or with any number of channels and any depth."""

from pathlib import Path

import cv2
import numpy as np

from segformer_core.data.image_bytes import (
    TiffForm,
    is_complete,
    is_webp,
    other_kind,
    png_orientation,
    tiff_form,
    webp_orientation,
)
from segformer_core.data.image_form import GRAY, RGB, ImageForm, may_have, on_scale, with_channels, wrong_count
from segformer_core.data.npy_file import MAGIC as NPY
from segformer_core.data.npy_file import npy_values
from segformer_core.data.quiet import quiet_decoders
from segformer_core.data.raster import raster_values
from segformer_core.errors import DataError
from segformer_core.files import special_file

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""The endings that make a folder's files images. A file that the user names itself is recognised by its content."""

ARRAY_SUFFIXES = (".npy",)
"""Endings of images that no viewer shows. Labels have none of them."""

MOST_PIXELS = 2**30
"""OpenCV's limit, which it checks before it takes memory: about 3 GB for three 8-bit channels."""

CHANNELS = (1, 2, 3, 4)
"""Gray, gray and alpha, RGB, RGB and alpha or CMYK."""

TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (1,)), 3: (False, (0, 1)), 4: (False, (0,)), 5: (True, ()), 6: (True, (1,)), 7: (True, (0, 1)), 8: (True, (0,))
}  # fmt: skip
"""EXIF orientation -> (whether to swap rows and columns, the axes that are then mirrored)."""


def read_image(path: Path, form: ImageForm = RGB, as_stored: bool = False) -> np.ndarray:
    """(H, W, form.channels) on the scale 0..255. Raises DataError for a missing, truncated or undecodable file.

    uint8 where the file has 8 bits a channel. Of 16 bits the upper 8 are kept; with `form.range` the result is float32, not
    clipped, NaN where there is no value. Files of other numbers need the range, and so do 16 bits of which a quarter is used:
    that is a RangeQuestion.

    Of three channels the image is RGB, the way a viewer shows it: gray becomes three equal channels, and a palette index its
    colour; alpha is dropped, and the colours stay as stored (a TIFF's are multiplied by alpha); CMYK is converted without its
    colour profile. Of one channel it is gray, also from three equal channels. Four are RGB and alpha, or four bands as stored;
    any other number are the bands of a TIFF or of an array in a .npy file.

    The EXIF orientation is applied unless `as_stored` is set; a TIFF's is always applied.
    """
    return on_scale(_values(path, form.channels, as_stored, form.range is not None), form, path)


def image_size(path: Path, as_stored: bool = False) -> tuple[int, int]:
    """Height and width, whatever the channels and values are. Raises DataError."""
    data = read_bytes(path)
    tiff, array = tiff_form(data), data.startswith(NPY)
    channels = tiff.channels if tiff and not _is_picture(tiff) else RGB.channels
    image = npy_values(data, channels, path) if array else _values(path, channels, as_stored, gaps=False)
    return image.shape[0], image.shape[1]


def _values(path: Path, channels: int, as_stored: bool, gaps: bool) -> np.ndarray:
    """(H, W, channels) as stored; `gaps` as in `raster_values`."""
    data = read_bytes(path)
    if data.startswith(NPY):
        return with_channels(npy_values(data, channels, path), channels, path)
    form = tiff_form(data)
    if form and not (channels in (GRAY, RGB.channels) and _is_picture(form)):
        if not may_have(form.channels, channels):
            raise wrong_count(path, form.channels, channels)
        bands, orientation = raster_values(data, path, gaps)
        return turned(with_channels(bands, channels, path), orientation)
    if channels in (GRAY, RGB.channels):
        return with_channels(_colours(path, data, as_stored), channels, path)
    image = np.atleast_3d(decode(path, data, cv2.IMREAD_UNCHANGED))
    if image.shape[2] != channels:
        raise wrong_count(path, image.shape[2], channels)
    image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    return image if as_stored else turned(image, max(png_orientation(data), webp_orientation(data)))


def _colours(path: Path, data: bytes, as_stored: bool) -> np.ndarray:
    """(H, W, 3) RGB, of the file's type, as a viewer shows it."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    webp = is_webp(data)
    image = decode(path, data, flags | cv2.IMREAD_IGNORE_ORIENTATION if as_stored or webp else flags)
    if webp and not as_stored:  # cv2 does not read a WebP's orientation
        image = turned(image, webp_orientation(data))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _is_picture(form: TiffForm) -> bool:
    """Whether cv2 reads such a TIFF as a viewer does: others hold bands, heights, distances."""
    channels = form.channels in CHANNELS and not (form.channels == 2 and form.separate)
    return channels and form.kind == "uint" and form.bits <= 16


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
    transposed, mirrored = TURNS.get(orientation, (False, ()))
    image = image.swapaxes(0, 1) if transposed else image
    return np.ascontiguousarray(np.flip(image, mirrored))
