"""How a label map is computed: from the whole image or from sliding windows, at several scales, mirrored or not.

This is pure geometry. The backend computes the sums, the averages and the arg-max (`Learner.predict`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.errors import DataError
from segformer_core.protocol.fit import ANYTHING, Fit, Size, Takes

SMALLEST_PROBABILITY = 1e-30
"""Of which the logarithm is taken, where a true class has none that float32 holds."""


@dataclass(frozen=True)
class View:
    """An image at one scale, resized to `size`.

    Without `windows` the network sees all of it. With them it sees `crop`, which is no larger than the image, at every
    (top, left), row by row, and a pixel's scores are the mean over the windows it is in. With `feather` a window counts the
    more, the farther the pixel is from its border.
    """

    size: Size
    crop: Size
    windows: tuple[tuple[int, int], ...] = ()
    feather: bool = False

    @cached_property
    def tops(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(top for top, _ in self.windows))

    @cached_property
    def lefts(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(left for _, left in self.windows))

    @cached_property
    def weights(self) -> np.ndarray:
        """(*crop) float32: how much each pixel of a window counts."""
        return np.outer(*(_weights(side, self.feather) for side in self.crop))

    @cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """(H,) and (W,) float32: the product of two is the sum of the weights of all windows in which a pixel is."""
        axes = zip(self.size, self.crop, (self.tops, self.lefts), strict=True)
        return tuple(_sums(length, crop, starts, self.feather) for length, crop, starts in axes)  # type: ignore[return-value]

    def counts(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """float32, of the pixels from (top, left) to before (bottom, right): the sum of the weights of their windows.

        Without `feather` it is the number of windows in which a pixel is.
        """
        rows, columns = self.sums
        return np.outer(rows[top:bottom], columns[left:right])


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


def make_plan(size: Size, data: DataConfig, evaluation: EvaluationConfig, takes: Takes = ANYTHING) -> Plan:
    """The plan for an image, or its label map, of `size`: at each scale it is fitted into base_size times that scale.

    Raises DataError for windows that the network does not take.
    """
    views = [_view(size, data, evaluation, scale, takes) for scale in evaluation.eval_scales]
    return Plan(size, tuple(views), evaluation.eval_flip)


def _view(size: Size, data: DataConfig, evaluation: EvaluationConfig, scale: float, takes: Takes) -> View:
    """`Fit` says at which size the image is seen.

    A window larger than the image is cut to it, as in the paper's code. In the mode native the image keeps its own size, which
    then takes the place of base_size and is not rounded.
    """
    native, whole = evaluation.eval_mode == "native", evaluation.eval_mode == "whole"
    base, divisor = (size, 1) if native else (data.base_size, evaluation.eval_size_divisor)
    bounds = int(base[0] * scale), int(base[1] * scale)
    height, width = Fit(bounds, divisor, takes.least, takes.frame if whole else None).size(size)
    if whole:
        return View((height, width), (height, width))
    crop = min(evaluation.eval_crop_size[0], height), min(evaluation.eval_crop_size[1], width)
    _check_window(crop, takes)
    tops, lefts = (_starts(*axis) for axis in zip((height, width), crop, evaluation.eval_stride, strict=True))
    windows = tuple((top, left) for top in tops for left in lefts)
    return View((height, width), crop, windows, evaluation.eval_blend == "feather")


def _check_window(crop: Size, takes: Takes) -> None:
    """Raises DataError unless the network takes windows of this size, or smaller ones that are padded to its frame."""
    window = f"windows of {crop[0]}×{crop[1]} pixels"
    if takes.frame and (crop[0] > takes.frame[0] or crop[1] > takes.frame[1]):
        height, width = takes.frame
        raise DataError(
            f"the file takes images of {height}×{width} pixels, and it would get {window}; use --eval_crop_size "
            f"[{height},{width}] and no larger an eval_stride, or --eval_mode whole, or export with --export_dynamic True"
        )
    if min(crop) < takes.least:
        raise DataError(
            f"the file takes images of at least {takes.least}×{takes.least} pixels, and it would get {window}; set a larger "
            "eval_crop_size"
        )


def _starts(length: int, crop: int, stride: int) -> list[int]:
    """The first pixels of the windows on one axis: a stride apart, and the last window ends at the image's end."""
    steps = -(-(length - crop) // stride)
    return [min(step * stride, length - crop) for step in range(steps + 1)]


def _weights(side: int, feather: bool) -> np.ndarray:
    """(side,) float32: 1, or the distance to the nearer end as a share of the largest one."""
    if not feather:
        return np.ones(side, np.float32)
    places = np.arange(1, side + 1)
    return (np.minimum(places, places[::-1]) / -(-side // 2)).astype(np.float32)


def _sums(length: int, crop: int, starts: tuple[int, ...], feather: bool) -> np.ndarray:
    """(length,) float32: the sum of the weights of the windows that begin at `starts`."""
    sums = np.zeros(length, np.float32)
    for start in starts:
        sums[start : start + crop] += _weights(crop, feather)
    return sums
