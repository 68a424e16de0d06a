"""Mean and standard deviation of each channel of many images, added up image by image."""

from dataclasses import dataclass

import numpy as np

from segformer_core.data.histogram import VALUES, histogram

SMALLEST_STD = 1e-3
"""The smallest deviation that img_norm_std takes."""


@dataclass(frozen=True)
class Moments:
    """(C,) float64 each: pixels that have a value, the sum of the values, and that of their squares.

    Of uint8 images these are whole numbers, exact up to 10^11 pixels.
    """

    pixels: np.ndarray
    total: np.ndarray
    squares: np.ndarray

    @staticmethod
    def none(channels: int) -> "Moments":
        return Moments(*np.zeros((3, channels)))

    @staticmethod
    def of(image: np.ndarray) -> "Moments":
        """Of (H, W, C) uint8, or float32 in which NaN is no value."""
        return Moments(*np.transpose([_of_channel(image, channel) for channel in range(image.shape[2])]))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.pixels + other.pixels, self.total + other.total, self.squares + other.squares)

    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """(C,) float64 each, 0..255; NaN for a channel without a value."""
        with np.errstate(invalid="ignore"):
            mean = self.total / self.pixels
            return mean, np.sqrt(np.maximum(self.squares / self.pixels - mean**2, 0))


def _of_channel(image: np.ndarray, channel: int) -> tuple[float, float, float]:
    if image.dtype == np.uint8:
        counts, values = histogram(image, channel), np.arange(VALUES)
        return float(counts.sum()), float(counts @ values), float(counts @ values**2)
    values = image[..., channel]
    values = values[np.isfinite(values)].astype(np.float64)
    return float(values.size), float(values.sum()), float(values @ values)
