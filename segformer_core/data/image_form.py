"""How images are read: the number of their channels, and which of a file's values become 0 and 255.

Everything after the reading sees one scale, 0..255: uint8 where a file has 8 bits a channel, float32 where it has more.
"""

from dataclasses import dataclass

import numpy as np

from segformer_core.config.keys import RGB_CHANNELS as RGB_CHANNELS
from segformer_core.config.keys import Config
from segformer_core.errors import DataError

GRAY = 1
LARGEST = 255
"""The upper end of the scale on which images are normalised, whatever a file's values are."""

FAR_BELOW = 2**14
"""Of 16 bits: values that all lie below this use a quarter of the scale, as those of sensors of 10, 12 or 14 bits do."""

DEPTHS = (8, 10, 12, 14, 16)
"""Bits of a sensor's values, which are stored in 16."""


@dataclass(frozen=True)
class ImageForm:
    """`channels` of an image; `range`: the values of a file with more than 8 bits that become 0 and 255, or None."""

    channels: int = RGB_CHANNELS
    range: tuple[float, float] | None = None

    @staticmethod
    def of(config: Config) -> "ImageForm":
        """What in_channels and image_range say."""
        return form_of(config.model.in_channels, config.data.image_range)


RGB = ImageForm()


def form_of(channels: int, image_range: tuple[float, ...]) -> ImageForm:
    """`image_range` has two numbers, or none."""
    return ImageForm(channels, (image_range[0], image_range[1]) if image_range else None)


class RangeQuestion(DataError):
    """Nobody has said which values of a file become 0 and 255, and the file does not show it."""


def on_scale(values: np.ndarray, form: ImageForm, source: object) -> np.ndarray:
    """Numbers as a file stores them, of any shape -> the scale 0..255. Raises RangeQuestion; `source` has the values.

    uint8 stays as it is. With a range the result is float32 and not clipped, and what is no finite number is NaN. Without one,
    of 16 bits the upper 8 are kept as uint8.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in "uif":
        raise DataError(f"{source} holds {values.dtype} values; expected whole numbers or floats: convert it")
    if form.range is not None:
        low, high = form.range
        scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(LARGEST / (high - low))
        scaled[~np.isfinite(scaled)] = np.nan
        return scaled
    lowest, largest = ends(values)
    if values.dtype != np.uint16:
        own = f"[{int(lowest)}, {int(largest)}]" if values.dtype.kind != "f" else f"[{lowest:.6g}, {largest:.6g}]"
        raise RangeQuestion(
            f"{source} holds {values.dtype} values, here from {lowest:.6g} to {largest:.6g}: say which of them become black and "
            f"white, for all images alike, such as image_range: {'[0, 1]' if 0 <= lowest <= largest <= 1 else own}"
        )
    check_depth(largest, source)
    return (values >> 8).astype(np.uint8)


def check_depth(largest: float, source: object) -> None:
    """Raises RangeQuestion if the largest of an image's 16-bit values is that of a sensor with fewer bits."""
    if 0 < largest < FAR_BELOW:
        bits = next(bits for bits in DEPTHS if largest < 2**bits)
        raise RangeQuestion(
            f"{source} has 16 bits a channel and no value above {largest:.0f}, so it may be nearly black: set image_range: "
            f"[0, {2**bits - 1}] if these are data of {bits} bits, or image_range: [0, 65535] if the image is as dark as this"
        )


def ends(values: np.ndarray) -> tuple[float, float]:
    """The lowest and the largest finite value; zeros if there is none."""
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def with_channels(image: np.ndarray, channels: int, source: object) -> np.ndarray:
    """(H, W, C) -> (H, W, channels): gray as three equal channels, three equal channels as gray. Raises DataError."""
    count = image.shape[2]
    if count == channels:
        return image
    if channels == RGB_CHANNELS and count == GRAY:
        return np.repeat(image, RGB_CHANNELS, axis=2)
    if channels == GRAY and count == RGB_CHANNELS:
        unequal = (image != image[..., :1]) & ~np.isnan(image) if image.dtype.kind == "f" else image != image[..., :1]
        if not unequal.any():
            return np.ascontiguousarray(image[..., :1])
        row, column = np.argwhere(unequal.any(2))[0]
        raise DataError(
            f"{source} has colours, as at row {row}, column {column}, and in_channels is 1; expected gray, or three equal "
            "channels: convert it to gray, or take a network with in_channels 3"
        )
    raise wrong_count(source, count, channels)


def may_have(count: int, channels: int) -> bool:
    """Whether an image of `count` channels can be read as one of `channels`."""
    return count == channels or {count, channels} == {GRAY, RGB_CHANNELS}


def wrong_count(source: object, count: int, channels: int) -> DataError:
    return DataError(
        f"{source} has {count} {'channel' if count == 1 else 'channels'}; expected {channels}, as in_channels says: convert it, "
        f"or train a network with in_channels {count}"
    )
