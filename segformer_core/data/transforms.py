"""The paper's augmentation, step by step: pure functions of a sample and a generator, (image, label) in and out.

An image is (H, W, 3) uint8 RGB until `normalise`, a label (H, W) uint8. The recipe and its order are those of the paper's
code: scale, crop, flip, distort, normalise, pad.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from segformer_core.config.keys import DataConfig
from segformer_core.data.dataset import IGNORED

Sample = tuple[np.ndarray, np.ndarray]

CROP_TRIES = 10
BRIGHTNESS = 32.0
CONTRAST = SATURATION = (0.5, 1.5)
HUE = 18
"""The largest shift of hue, in OpenCV's units: 180 to the full circle."""


def augment(image: np.ndarray, label: np.ndarray, rng: np.random.Generator, config: DataConfig) -> Sample:
    """(H, W, 3) uint8 and (H, W) uint8 -> (3, *crop_size) float32, normalised, and (*crop_size) int32."""
    image, label = random_scale(image, label, rng, config.base_size, config.scale_range)
    image, label = random_crop(image, label, rng, config.crop_size, config.cat_max_ratio)
    image, label = random_flip(image, label, rng)
    if config.photometric_distortion:
        image = distort(image, rng)
    return pad(normalise(image, config.img_norm_mean, config.img_norm_std), label, config.crop_size)


def fitted_size(size: Sequence[int], bounds: tuple[float, float]) -> tuple[int, int]:
    """The largest height and width with the ratio of `size` whose long side fits the long bound, and short side the short one."""
    scale = min(max(bounds) / max(size), min(bounds) / min(size))
    return max(int(size[0] * scale + 0.5), 1), max(int(size[1] * scale + 0.5), 1)


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize bilinearly to `size`, (height, width)."""
    return image if image.shape[:2] == size else cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def random_scale(
    image: np.ndarray, label: np.ndarray, rng: np.random.Generator, base_size: tuple[int, int], scales: tuple[float, float]
) -> Sample:
    """Resize to fit `base_size` times a uniform random factor; the label by nearest neighbour."""
    factor = rng.uniform(*scales)
    size = fitted_size(label.shape, (int(base_size[0] * factor), int(base_size[1] * factor)))
    if size != label.shape:
        label = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST)
    return resize_image(image, size), label


def random_crop(
    image: np.ndarray, label: np.ndarray, rng: np.random.Generator, size: tuple[int, int], cat_max_ratio: float
) -> Sample:
    """Crop to at most `size`: the first of ten crops in which each class has less than `cat_max_ratio` of the counted pixels.

    Ignored pixels are not counted. Where all ten have too much of a class, an eleventh is taken as it is.
    """
    height, width = label.shape
    for tries_left in range(CROP_TRIES, -1, -1):
        top = int(rng.integers(0, max(height - size[0], 0) + 1))
        left = int(rng.integers(0, max(width - size[1], 0) + 1))
        crop = np.s_[top : top + size[0], left : left + size[1]]
        if cat_max_ratio >= 1 or not tries_left:
            break
        counts = np.bincount(label[crop].ravel(), minlength=256)[:IGNORED]
        if np.count_nonzero(counts) > 1 and counts.max() < cat_max_ratio * counts.sum():
            break
    return image[crop], label[crop]


def random_flip(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> Sample:
    """Mirror left and right with probability 0.5."""
    return (image[:, ::-1], label[:, ::-1]) if rng.random() < 0.5 else (image, label)


def distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast (before or after the colours), saturation and hue, each with probability 0.5.

    Values are rounded down to uint8 after every step; saturation and hue each go to HSV and back.
    """
    table = np.arange(256, dtype=np.float32)
    before = _brightness(table, rng)
    contrast_last = rng.random() < 0.5
    if not contrast_last:
        before = _contrast(before, rng)
    image = cv2.LUT(image, before.astype(np.uint8))
    if rng.random() < 0.5:
        image = _in_hsv(image, 1, _uint8(table * np.float32(rng.uniform(*SATURATION))))
    if rng.random() < 0.5:
        image = _in_hsv(image, 0, (table + rng.integers(-HUE, HUE)) % 180)
    return cv2.LUT(image, _contrast(table, rng).astype(np.uint8)) if contrast_last else image


def _in_hsv(image: np.ndarray, channel: int, values: np.ndarray) -> np.ndarray:
    """Replace each value v of a channel, 0 hue or 1 saturation, by `values[v]`."""
    table = np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 3))
    table[:, channel] = values
    return cv2.cvtColor(cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), table[None]), cv2.COLOR_HSV2RGB)


def normalise(image: np.ndarray, mean: tuple[float, float, float], std: tuple[float, float, float]) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W, 3) float32: (value - mean) / std, both in 0..255."""
    table = (np.arange(256, dtype=np.float32)[:, None] - np.array(mean, np.float32)) / np.array(std, np.float32)
    return cv2.LUT(np.ascontiguousarray(image), table[None])


def pad(image: np.ndarray, label: np.ndarray, size: tuple[int, int]) -> Sample:
    """Pad to `size` at the bottom and right, the image with 0, the label with 255: (3, *size) float32 and (*size) int32."""
    padded = np.zeros((3, *size), np.float32)
    padded[:, : label.shape[0], : label.shape[1]] = image.transpose(2, 0, 1)
    labels = np.full(size, IGNORED, np.int32)
    labels[: label.shape[0], : label.shape[1]] = label
    return padded, labels


def _brightness(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _uint8(table + np.float32(rng.uniform(-BRIGHTNESS, BRIGHTNESS))) if rng.random() < 0.5 else table


def _contrast(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _uint8(table * np.float32(rng.uniform(*CONTRAST))) if rng.random() < 0.5 else table


def _uint8(values: np.ndarray) -> np.ndarray:
    """Clip to 0..255 and drop the fraction."""
    return np.clip(values, 0, 255).astype(np.uint8)
