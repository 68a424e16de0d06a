"""The numbers by which both backends find the hard pixels of a batch (OHEM)."""

import math

IGNORED_PROBABILITY = 2.0
"""Of an ignored pixel's true class: above every probability, so that it is never hard."""

MANTISSA_BITS = 24
"""Of a float32, the first one included."""
SMALLEST_NORMAL = 2.0**-126
"""Of the float32 numbers; those below it are no further apart from each other, and have no more steps."""


def steps(threshold: float) -> list[float]:
    """1, 1/2, 1/4, … down to the distance of neighbouring float32 numbers at `threshold`, in 0..1.

    Added up from 0 on where a condition allows it, they reach every float32 number from `threshold` to below 2.
    """
    _, exponent = math.frexp(max(threshold, SMALLEST_NORMAL))
    return [2.0**-bit for bit in range(MANTISSA_BITS - exponent + 1)]


def most_kept(min_kept: int, shape: tuple[int, ...], processes: int) -> int:
    """Pixels: `min_kept` for each image of all processes' batches of this shape (B, H, W), or all pixels if they are fewer."""
    images, height, width = shape
    return images * processes * min(min_kept, height * width)
