"""The numbers by which both backends find the hard pixels of a batch (OHEM)."""

import math

IGNORED_PROBABILITY = 2.0
"""Of an ignored pixel's true class: above every probability, so that it is never hard."""

MANTISSA_BITS = 24
"""Of a float32, the first one included."""
SMALLEST_THRESHOLD = 2.0**-102
"""The distance of its float32 neighbours is a normal number. MindSpore's compiler may fail on smaller constants."""


def steps(threshold: float) -> list[float]:
    """1, 1/2, 1/4, … down to the distance of neighbouring float32 numbers at `threshold`, in 0..1.

    Added up from 0 on where a condition allows it, they reach every float32 number from `threshold` to below 2. A threshold
    below 2⁻¹⁰² has the steps of 2⁻¹⁰²: smaller probabilities are told apart only down to 2⁻¹²⁵.
    """
    _, exponent = math.frexp(max(threshold, SMALLEST_THRESHOLD))
    return [2.0**-bit for bit in range(MANTISSA_BITS - exponent + 1)]


def most_kept(min_kept: int, shape: tuple[int, ...], processes: int) -> int:
    """Pixels: `min_kept` for each image of all processes' batches of this shape (B, H, W), or all pixels if they are fewer."""
    images, height, width = shape
    return images * processes * min(min_kept, height * width)
