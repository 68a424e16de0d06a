"""Counts by cv2 are those of numpy, also of more pixels than a float32 counts exactly."""

import numpy as np
import pytest

from segformer_core.data.histogram import histogram, pair_histogram, value_counts


@pytest.mark.parametrize("shape", [(37, 53), (1, 1), (3, 0), (0, 5)])
def test_counts(shape):
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    assert np.array_equal(histogram(rows), np.bincount(rows.ravel(), minlength=256))
    assert np.array_equal(histogram(rows[:, ::2]), np.bincount(rows[:, ::2].ravel(), minlength=256)), "a view"
    pairs = np.bincount((rows.astype(int) * 256 + columns).ravel(), minlength=256**2).reshape(256, 256)
    assert np.array_equal(pair_histogram(rows, columns), pairs) and pairs.sum() == rows.size


def test_more_pixels_than_float32_counts():
    pixels = np.full((2**24 + 3, 1), 7, np.uint8)
    assert histogram(pixels)[7] == pixels.size == 2**24 + 3 == pair_histogram(pixels, pixels)[7, 7]


def test_values_of_16_bits():
    stored = np.array([[0, 700], [700, 65535]], np.uint16)
    assert value_counts(stored)[[0, 700, 65535]].tolist() == [1, 2, 1]
