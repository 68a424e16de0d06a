"""Dynamic loss scaling of fp16 (arXiv 1710.03740): the rules that both backends follow on the device.

A gradient that is not finite leaves weights, moments, statistics and the step count as they are, in every precision.
"""

from collections.abc import Mapping

import numpy as np

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


def resumed(arrays: Mapping[str, np.ndarray], precision: str) -> dict[str, np.ndarray]:
    """The optimizer's arrays, as a run in `precision` takes them over: a run in another precision starts its own scale.

    A scale of SMALLEST tells nothing of the precision: an fp16 run that has fallen to it starts anew, too.
    """
    of_fp16 = float(arrays["loss_scale"]) > SMALLEST
    if of_fp16 == (precision == "fp16"):
        return dict(arrays)
    return {**arrays, "loss_scale": np.array(first_scale(precision), np.float32)}
