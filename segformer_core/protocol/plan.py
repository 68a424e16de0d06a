"""How a label map is computed: from the whole image or from sliding windows, at several scales, mirrored or not.

This is pure geometry. The backend computes the sums, the averages and the arg-max (`Learner.predict`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.data.transforms import fitted_size
from segformer_core.spec.model import SMALLEST_INPUT

Size = tuple[int, int]
"""Height and width in pixels."""

SMALLEST_PROBABILITY = 1e-30
"""Of which the logarithm is taken, where a true class has none that float32 holds."""


@dataclass(frozen=True)
class View:
    """An image at one scale, resized to `size`.

    Without `windows` the network sees all of it. With them it sees `crop`, which is no larger than the image, at every
    (top, left), and a pixel's scores are the mean over the windows it is in.
    """

    size: Size
    crop: Size
    windows: tuple[tuple[int, int], ...] = ()

    @cached_property
    def counts(self) -> np.ndarray:
        """(*size) float32: in how many windows a pixel is."""
        counts = np.zeros(self.size, np.float32)
        for top, left in self.windows:
            counts[top : top + self.crop[0], left : left + self.crop[1]] += 1
        return counts


@dataclass(frozen=True)
class Plan:
    """The scores of all views, and of their mirror images, are resized to `size` and their class probabilities averaged."""

    size: Size
    views: tuple[View, ...]
    flip: bool = False

    @property
    def mirrorings(self) -> tuple[bool, ...]:
        return (False, True) if self.flip else (False,)

    @property
    def maps(self) -> int:
        """How many maps of scores there are: one for each view, and one for each mirror image."""
        return len(self.views) * len(self.mirrorings)

    @property
    def averages(self) -> bool:
        """Whether there is more than one map of scores. For a single map the arg-max needs no probabilities."""
        return self.maps > 1


def make_plan(size: Size, data: DataConfig, evaluation: EvaluationConfig) -> Plan:
    """The plan for an image, or its label map, of `size`: at each scale it is fitted into base_size times that scale."""
    views = [_view(size, data, evaluation, scale) for scale in evaluation.eval_scales]
    return Plan(size, tuple(views), evaluation.eval_flip)


def _view(size: Size, data: DataConfig, evaluation: EvaluationConfig, scale: float) -> View:
    """The short side of an extremely long image is stretched to the network's smallest input, and each side to a multiple.

    A window larger than the image is cut to it, as in the paper's code.
    """
    bounds = int(data.base_size[0] * scale), int(data.base_size[1] * scale)
    sides = (max(side, SMALLEST_INPUT) for side in fitted_size(size, bounds))
    height, width = (next_multiple(side, evaluation.eval_size_divisor) for side in sides)
    if evaluation.eval_mode == "whole":
        return View((height, width), (height, width))
    crop = min(evaluation.eval_crop_size[0], height), min(evaluation.eval_crop_size[1], width)
    tops, lefts = (_starts(*axis) for axis in zip((height, width), crop, evaluation.eval_stride, strict=True))
    return View((height, width), crop, tuple((top, left) for top in tops for left in lefts))


def next_multiple(side: int, divisor: int) -> int:
    """The smallest multiple of `divisor` that is no less than `side`, in pixels."""
    return -(-side // divisor) * divisor


def _starts(length: int, crop: int, stride: int) -> list[int]:
    """The first pixels of the windows on one axis: a stride apart, and the last window ends at the image's end."""
    steps = -(-(length - crop) // stride)
    return [min(step * stride, length - crop) for step in range(steps + 1)]
