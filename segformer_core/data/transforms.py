"""The paper's augmentation, step by step: pure functions of a sample and a generator, (image, label) in and out.

An image is (H, W, C) until `normalise`, uint8 or, from files with more than 8 bits, float32 on the scale 0..255, in which NaN
is "no value". Three channels are RGB. A label is (H, W) uint8. The recipe and its order are those of the paper's code: scale,
crop, flip, distort, normalise, pad.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from segformer_core.config.keys import DataConfig
from segformer_core.data.dataset import IGNORED
from segformer_core.data.histogram import histogram
from segformer_core.data.image_form import RGB_CHANNELS

Sample = tuple[np.ndarray, np.ndarray]
Window = tuple[slice, slice]
"""Rows and columns, each from a start to a stop."""

CROP_TRIES = 10
BRIGHTNESS = 32.0
CONTRAST = SATURATION = (0.5, 1.5)
HUE = 18
"""The largest shift of hue, in OpenCV's units: 180 to the full circle."""
UNCHANGED = np.arange(256, dtype=np.uint8)
"""The table of values in which each is itself."""


def augment(image: np.ndarray, label: np.ndarray, rng: np.random.Generator, config: DataConfig) -> Sample:
    """(H, W, C) and (H, W) uint8 -> (C, *crop_size) float32, normalised, and (*crop_size) int32."""
    size = random_size(label.shape, rng, config.base_size, config.scale_range)
    label = resize_label(label, size)
    window = random_window(label, rng, config.crop_size, config.cat_max_ratio)
    image, label = random_flip(resize_window(image, size, window), label[window], rng)
    table = UNCHANGED
    if config.photometric_distortion:
        image, table = draw_distortion(image, rng)
    return as_sample(image, table, label, config)


def fitted_size(size: Sequence[int], bounds: tuple[float, float], frame: tuple[int, int] | None = None) -> tuple[int, int]:
    """The largest height and width with the ratio of `size` whose long side fits the long bound, and short side the short one.

    With a `frame` the height fits its height as well, and the width its width.
    """
    scale = min(max(bounds) / max(size), min(bounds) / min(size))
    if frame:
        scale = min(scale, frame[0] / size[0], frame[1] / size[1])
    return max(int(size[0] * scale + 0.5), 1), max(int(size[1] * scale + 0.5), 1)


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, C) bilinearly to `size`, (height, width). A pixel next to one without a value has none either."""
    if image.shape[:2] == size:
        return image
    return with_axis(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), image)


def with_axis(result: np.ndarray, image: np.ndarray) -> np.ndarray:
    """cv2's result for an (H, W, C) image, which is (H, W) where C is 1 -> (H, W, C)."""
    return result if result.ndim == 3 else result.reshape(*result.shape, image.shape[2])


def random_size(
    size: Sequence[int], rng: np.random.Generator, base_size: tuple[int, int], scales: tuple[float, float]
) -> tuple[int, int]:
    """The height and width with the ratio of `size` that fit `base_size` times a uniform random factor."""
    factor = rng.uniform(*scales)
    return fitted_size(size, (int(base_size[0] * factor), int(base_size[1] * factor)))


def resize_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) resized to `size` by nearest neighbour."""
    return label if label.shape == size else cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST)


def resize_window(image: np.ndarray, size: tuple[int, int], window: Window) -> np.ndarray:
    """`resize_image(image, size)[window]`, of which uint8 is computed no further than to the window's lower right corner.

    cv2 computes a pixel from the ratio and its place alone, so what is left of it and above it must be there. Not so cv2's
    resizing of float32, nor where it finds nothing to resize: then the whole image is resized.
    """
    ratios = [new / old for new, old in zip(size, image.shape, strict=False)]
    ends = [min(old, int(part.stop / ratio) + 2) for part, ratio, old in zip(window, ratios, image.shape, strict=False)]
    if image.dtype == np.uint8 and image.shape[:2] != size:
        corner = image[: ends[0], : ends[1]]
        resized = cv2.resize(corner, None, fx=ratios[1], fy=ratios[0], interpolation=cv2.INTER_LINEAR)
        if resized.shape[:2] != corner.shape[:2]:
            return with_axis(resized, image)[window]
    return resize_image(image, size)[window]


def random_window(label: np.ndarray, rng: np.random.Generator, size: tuple[int, int], cat_max_ratio: float) -> Window:
    """A window of at most `size`: the first of ten in which each class has less than `cat_max_ratio` of the counted pixels.

    Ignored pixels are not counted. Where all ten have too much of a class, an eleventh is taken as it is.
    """
    height, width = label.shape
    for tries_left in range(CROP_TRIES, -1, -1):
        top = int(rng.integers(0, max(height - size[0], 0) + 1))
        left = int(rng.integers(0, max(width - size[1], 0) + 1))
        window = np.s_[top : min(top + size[0], height), left : min(left + size[1], width)]
        if cat_max_ratio >= 1 or not tries_left:
            break
        counts = histogram(label[window])[:IGNORED]
        if np.count_nonzero(counts) > 1 and counts.max() < cat_max_ratio * counts.sum():
            break
    return window


def random_flip(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> Sample:
    """Mirror left and right with probability 0.5."""
    return (with_axis(cv2.flip(image, 1), image), cv2.flip(label, 1)) if rng.random() < 0.5 else (image, label)


def distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast (before or after the colours), saturation and hue, each with probability 0.5.

    Saturation and hue are those of RGB, and each goes to HSV and back; an image of other channels is drawn none. uint8 is rounded
    down after every step, float32 is neither rounded nor clipped.
    """
    image, table = draw_distortion(image, rng)
    return _looked_up(image, table) if image.dtype == np.uint8 else image


def draw_distortion(image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`distort` but for its last step: an image, and the (256,) uint8 table in which its uint8 values are to be looked up."""
    if image.dtype != np.uint8:
        return distort_floats(image, rng), UNCHANGED
    values = np.arange(256, dtype=np.float32)
    table = _brightness(values, rng)
    contrast_last = rng.random() < 0.5
    if not contrast_last:
        table = _contrast(table, rng)
    table = table.astype(np.uint8)
    if image.shape[2] == RGB_CHANNELS:
        if rng.random() < 0.5:
            image = _in_hsv(_looked_up(image, table), 1, _uint8(values * np.float32(rng.uniform(*SATURATION))))
            table = UNCHANGED
        if rng.random() < 0.5:
            image = _in_hsv(_looked_up(image, table), 0, ((values + rng.integers(-HUE, HUE)) % 180).astype(np.uint8))
            table = UNCHANGED
    return image, _contrast(values, rng).astype(np.uint8)[table] if contrast_last else table


def _looked_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Each value v of a uint8 image replaced by `table[v]`, or of channel c by `table[0, v, c]`."""
    return image if np.array_equal(table, UNCHANGED) else with_axis(cv2.LUT(np.ascontiguousarray(image), table), image)


def distort_floats(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`distort` of float32, by the same draws."""

    def contrast(image: np.ndarray) -> np.ndarray:
        return image * np.float32(rng.uniform(*CONTRAST)) if rng.random() < 0.5 else image

    if rng.random() < 0.5:
        image = image + np.float32(rng.uniform(-BRIGHTNESS, BRIGHTNESS))
    contrast_last = rng.random() < 0.5
    if not contrast_last:
        image = contrast(image)
    if image.shape[2] == RGB_CHANNELS:
        if rng.random() < 0.5:
            image = _floats_in_hsv(image, saturation=rng.uniform(*SATURATION))
        if rng.random() < 0.5:
            image = _floats_in_hsv(image, hue=2 * int(rng.integers(-HUE, HUE)))
    return contrast(image) if contrast_last else image


def _floats_in_hsv(image: np.ndarray, saturation: float = 1.0, hue: int = 0) -> np.ndarray:
    """(H, W, 3) float32 with another saturation, at most full, and hue, by degrees. What lies below black becomes black."""
    missing = np.isnan(image).any(2)
    hsv = cv2.cvtColor(np.maximum(np.nan_to_num(image), 0), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + hue) % 360
    hsv[..., 1] = np.minimum(hsv[..., 1] * np.float32(saturation), 1)
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    image[missing] = np.nan
    return image


def _in_hsv(image: np.ndarray, channel: int, values: np.ndarray) -> np.ndarray:
    """Replace each value v of a channel, 0 hue or 1 saturation, by `values[v]`, of uint8."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    cv2.insertChannel(cv2.LUT(cv2.extractChannel(hsv, channel), values), hsv, channel)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def normalise(image: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """(H, W, C) uint8 or float32 -> (H, W, C) float32: (value - mean) / std of each channel, all in 0..255.

    A pixel without a value, NaN, becomes 0: the channel's mean.
    """
    means, stds = np.array(mean, np.float32), np.array(std, np.float32)
    if image.dtype != np.uint8:
        normalised: np.ndarray = (image.astype(np.float32, copy=False) - means) / stds
        normalised[~np.isfinite(normalised)] = 0
        return normalised
    return _looked_up(image, _normal(means, stds)[None])


def _normal(means: np.ndarray, stds: np.ndarray) -> np.ndarray:
    """(256, C) float32 by value and channel."""
    normal: np.ndarray = (np.arange(256, dtype=np.float32)[:, None] - means) / stds
    return normal


def as_sample(image: np.ndarray, table: np.ndarray, label: np.ndarray, config: DataConfig) -> Sample:
    """(C, *crop_size) float32 and (*crop_size) int32: an image whose values, if uint8, are looked up in `table`, normalised.

    Filled up at the bottom and right, the image with 0, the label with 255.
    """
    height, width = label.shape
    pixels, labels = np.empty((image.shape[2], *config.crop_size), np.float32), np.empty(config.crop_size, np.int32)
    pixels[:, height:], pixels[:, :height, width:] = 0, 0
    labels[height:], labels[:height, width:] = IGNORED, IGNORED
    labels[:height, :width] = label
    inner, mean, std = pixels[:, :height, :width], config.img_norm_mean, config.img_norm_std
    if image.dtype != np.uint8:
        inner[:] = normalise(image, mean, std).transpose(2, 0, 1)
        return pixels, labels
    tables = np.ascontiguousarray(_normal(np.array(mean, np.float32), np.array(std, np.float32))[table].T)
    for place, plane, values in zip(inner, cv2.split(image), tables, strict=True):
        cv2.LUT(plane, values, dst=place)
    return pixels, labels


def _brightness(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _uint8(table + np.float32(rng.uniform(-BRIGHTNESS, BRIGHTNESS))) if rng.random() < 0.5 else table


def _contrast(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _uint8(table * np.float32(rng.uniform(*CONTRAST))) if rng.random() < 0.5 else table


def _uint8(values: np.ndarray) -> np.ndarray:
    """Clip to 0..255 and drop the fraction."""
    return np.clip(values, 0, 255).astype(np.uint8)
