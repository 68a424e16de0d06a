"""Dynamic loss scaling of fp16 (arXiv 1710.03740): the rules that both backends follow on the device.

A gradient that is not finite leaves weights, moments, statistics and the step count as they are, in every precision.
"""

START = 2.0**14
FACTOR = 2.0
"""The scale grows by it after CLEAN_STEPS steps without overflow, and shrinks by it after each overflow."""
CLEAN_STEPS = 1000
SMALLEST, LARGEST = 1.0, 2.0**24

SKIPPED_FOR_GOOD = 25
"""Steps skipped in a row after which a run is given up: from START the scale is at its smallest by then."""
SKIPPED_IN_DOUBT = 3
"""Steps skipped in a row after which nothing is saved: more than a scale that tries a larger value takes."""


def first_scale(precision: str) -> float:
    """fp32 and bf16 have fp32's range and need no scale."""
    return START if precision == "fp16" else 1.0
