"""In which order the parts of a large label map are finished, so that no more of the scores is kept than later parts need.

This is pure geometry. `backend_torch/bands.py` and `backend_mindspore/bands.py` compute by it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from segformer_core.protocol.plan import Plan, Size, View
from segformer_core.spec.model import LOGIT_STRIDE

Read = Callable[[int, int, int], np.ndarray]
"""(index of a view, top, left) -> (B, C, *crop) float32: what the network sees of that view from this pixel on.

The windows are asked for in the order of `bands`.
"""


def reader(images: Sequence[np.ndarray], plan: Plan) -> Read:
    """Of (B, C, H, W) arrays, one for each view, of its size."""

    def read(index: int, top: int, left: int) -> np.ndarray:
        height, width = plan.views[index].crop
        return images[index][:, :, top : top + height, left : left + width]

    return read


STRIP_BYTES = 2**28
"""The largest array of one image's scores that is resized at once: Cityscapes' 2048×1024 pixels of 19 classes are 160 MB."""

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Span:
    """The pixels from `first` to before `end` of one axis, and the first pixels of the windows that reach into them, in order.

    The last of these windows begins with the span.
    """

    first: int
    end: int
    windows: tuple[int, ...]


def bands(view: View) -> list[Span]:
    """The rows that are finished together: with each row of windows those above the next one."""
    return _spans(view.tops, view.crop[0], view.size[0])


def columns(view: View) -> list[Span]:
    """The columns of a band that are finished with each of its windows."""
    return _spans(view.lefts, view.crop[1], view.size[1])


def _spans(starts: tuple[int, ...], crop: int, length: int) -> list[Span]:
    def windows(first: int) -> tuple[int, ...]:
        return tuple(start for start in starts if start <= first < start + crop)

    return [Span(first, end, windows(first)) for first, end in zip(starts, (*starts[1:], length), strict=True)]


def kept_bytes(plan: Plan, class_count: int) -> int:
    """Of the logits of the windows above that a row of windows shares pixels with, as the network gives them.

    Of mirror images, which are averaged band by band, each is kept so, and all scores of a band.
    """
    view = plan.views[0]
    height, width = (-(-side // LOGIT_STRIDE) for side in view.crop)
    rows = max(len(band.windows) for band in bands(view)) - 1
    logits = rows * len(view.lefts) * height * width
    band = max(band.end - band.first for band in bands(view)) * view.size[1] if plan.averages else 0
    return plan.maps * class_count * (logits + band) * FLOAT_BYTES


def in_bands(plan: Plan) -> bool:
    """Whether the windows' scores are those of the labels' own pixels, so that a row is finished with its last window."""
    return len(plan.views) == 1 and bool(plan.views[0].windows) and plan.views[0].size == plan.size


def in_strips(plan: Plan) -> bool:
    """Whether the maps of all views and mirror images are kept at the views' sizes, and resized strip by strip."""
    return len(plan.views) == 1 or not any(view.windows for view in plan.views)


def maps_of(plan: Plan) -> list[tuple[int, bool]]:
    """The index of a view, and whether it is mirrored, of each map of scores, in the order in which they are added."""
    return [(index, mirrored) for index in range(len(plan.views)) for mirrored in plan.mirrorings]


def strips(size: Size, class_count: int) -> Iterator[tuple[int, int]]:
    """First row, and the row after the last, of the parts of a label map of `size` whose scores are computed at once."""
    rows = max(STRIP_BYTES // (class_count * size[1] * FLOAT_BYTES), 1)
    for top in range(0, size[0], rows):
        yield top, min(top + rows, size[0])


@dataclass(frozen=True)
class RowMix:
    """Output row i of a bilinear resizing is low·(1 - share) + high·share of the input's rows `first` + low[i], + high[i].

    `last` is the last of these input rows. `low` and `high` are (rows,) int32, `share` (rows, 1) float32.
    """

    first: int
    last: int
    low: np.ndarray
    high: np.ndarray
    share: np.ndarray


def row_mix(inputs: int, outputs: int, top: int, bottom: int) -> RowMix:
    """Rows `top` to before `bottom` of `outputs`, of `inputs` rows: half-pixel centres, computed in float32 as PyTorch does."""
    scale = np.float32(inputs) / np.float32(outputs)
    half = np.float32(0.5)
    centres = np.maximum(scale * (np.arange(top, bottom, dtype=np.float32) + half) - half, np.float32(0))
    low = np.minimum(centres.astype(np.int32), inputs - 1)
    high = np.minimum(low + 1, inputs - 1)
    share = np.clip(centres - low, 0, 1).astype(np.float32)[:, None]
    return RowMix(int(low[0]), int(high[-1]), low - low[0], high - low[0], share)


Arrays = tuple[np.ndarray, ...]
"""Each (B, h, w): the labels of some pixels, and what else is wanted of them."""


def gathered(parts: Iterable[tuple[int, int, Arrays]], plan: Plan) -> Iterator[tuple[int, Arrays]]:
    """(first row, first column, arrays) -> (first row, arrays of the labels' width), in order from the top."""
    listed = bands(plan.views[0]) if in_bands(plan) else []
    missing, first = 0, 0
    wide: Arrays = ()
    for top, left, arrays in parts:
        count, height, width = arrays[0].shape
        if not missing and width == plan.size[1]:
            yield top, arrays
            continue
        if not missing:
            first, bottom = next((band.first, band.end) for band in listed if band.first == top)
            missing = (bottom - first) * plan.size[1]
            wide = tuple(np.empty((count, bottom - first, plan.size[1]), array.dtype) for array in arrays)
        for rows, array in zip(wide, arrays, strict=True):
            rows[:, top - first : top - first + height, left : left + width] = array
        missing -= height * width
        if not missing:
            yield first, wide


def assembled(gathered: Iterable[tuple[int, Arrays]], size: Size) -> Arrays:
    """The whole maps of the bands, each (B, *size)."""
    whole: Arrays = ()
    for top, arrays in gathered:
        if arrays[0].shape[1:] == size:
            return arrays
        whole = whole or tuple(np.empty((len(array), *size), array.dtype) for array in arrays)
        for all_rows, array in zip(whole, arrays, strict=True):
            all_rows[:, top : top + array.shape[1]] = array
    return whole
