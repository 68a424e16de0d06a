"""Counts of the values of 8-bit pixels, by cv2: faster than numpy's, and other threads go on meanwhile."""

import cv2
import numpy as np

from segformer_core.data.classes import IGNORED

VALUES = IGNORED + 1
"""The values of 8 bits."""

STRIP_PIXELS = 2**23
"""cv2.calcHist counts in float32, exactly up to 2**24."""


def histogram(pixels: np.ndarray, channel: int = 0) -> np.ndarray:
    """(256,) int64: how many pixels of (H, W) or (H, W, C) uint8 have each value in a channel."""
    return _summed([pixels], [channel])


def value_counts(stored: np.ndarray) -> np.ndarray:
    """int64 by value: how many pixels of (H, W) uint8 or uint16 have it."""
    return histogram(stored) if stored.dtype == np.uint8 else np.bincount(stored.ravel())


def pair_histogram(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(256, 256) int64: how many pixels of two (H, W) uint8 have each pair of values."""
    return _summed([rows, columns], [0, 1])


def _summed(images: list[np.ndarray], channels: list[int]) -> np.ndarray:
    height, width = images[0].shape[:2]
    step, axes = max(STRIP_PIXELS // max(width, 1), 1), len(channels)
    total = np.zeros([VALUES] * axes, np.int64)
    for top in range(0, height if width else 0, step):
        strips = [image[top : top + step] for image in images]
        total += cv2.calcHist(strips, channels, None, [VALUES] * axes, [0, VALUES] * axes).reshape(total.shape).astype(np.int64)
    return total
