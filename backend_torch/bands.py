"""The mean over the windows of a view, part by part; `backend_mindspore/bands.py` is its twin.

A pixel's logits are added up window by window, row by row, as if the whole map were kept: its parts are the same bit for bit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segformer_core.protocol.bands import bands
from segformer_core.protocol.plan import View

Part = tuple[int, int, Tensor]
"""First row, first column, (B, K, h, w)."""


class Windows:
    """`logits` is (top, left) -> (B, K, *crop): the scores of a window. `tensor` brings an array to the device."""

    def __init__(self, view: View, logits: Callable[[int, int], Tensor], tensor: Callable[[np.ndarray], Tensor]):
        self.view, self.logits, self.tensor = view, logits, tensor
        self.weights = tensor(view.weights) if view.feather else None

    def parts(self) -> Iterator[Part]:
        """The mean scores, each pixel once: band after band as `protocol.bands.bands` lists them.

        Between two rows of windows only the sums are kept that both add to, and within a row the last window's.
        """
        tops = self.view.tops
        above: Iterator[Tensor] = iter(())
        for top, following in zip(tops[:-2], tops[1:-1], strict=True):
            kept: deque[Tensor] = deque()
            for left, sums in self._row(top, above):
                kept.append(sums[:, :, following - top :].clone())
                yield self._mean(top, left, sums[:, :, : following - top])
                del sums
            above = taken(kept)
        yield from self._last_rows(tops[-2:], above)

    def bands(self) -> Iterator[tuple[int, Tensor]]:
        """The mean scores in bands of rows: first row, and (B, K, rows, W)."""
        parts = self.parts()
        for band in bands(self.view):
            yield band.top, self._placed(islice(parts, len(band.tops) * len(self.view.lefts)), band.top, band.bottom)

    def whole(self) -> Tensor:
        """(B, K, *size): the mean scores of all pixels."""
        return self._placed(self.parts(), 0, self.view.size[0])

    def _placed(self, parts: Iterable[Part], top: int, bottom: int) -> Tensor:
        """Parts that fill the rows from `top` to before `bottom` -> (B, K, bottom - top, W)."""
        total: Any = None
        for row, left, scores in parts:
            if total is None:
                total = scores.new_empty((*scores.shape[:2], bottom - top, self.view.size[1]))
            total[:, :, row - top : row - top + scores.shape[2], left : left + scores.shape[3]] = scores
            del scores
        return total

    def _last_rows(self, tops: tuple[int, ...], above: Iterator[Tensor]) -> Iterator[Part]:
        """The last two rows of windows side by side, so that little is kept of what may be nearly all of a window's height."""
        *before, last = tops
        finished: deque[Part] = deque()

        def passed_on(top: int) -> Iterator[Tensor]:
            for left, sums in self._row(top, above):
                finished.append(self._mean(top, left, sums[:, :, : last - top]))
                yield sums[:, :, last - top :].clone()
                del sums

        for left, sums in self._row(last, passed_on(*before) if before else above):
            yield from taken(finished)
            yield self._mean(last, left, sums)
            del sums

    def _row(self, top: int, above: Iterator[Tensor]) -> Iterator[tuple[int, Tensor]]:
        """First column and (B, K, crop, w) sums of the columns that are finished with each window of the row at `top`.

        `above` are the sums of the rows that the row before shares with this one, from left to right.
        """
        lefts, width = self.view.lefts, self.view.crop[1]
        shared, begun, right = Columns(above), None, 0
        for left, following in zip(lefts, (*lefts[1:], self.view.size[1]), strict=True):
            logits = self.logits(top, left)
            if self.weights is not None:
                logits = logits * self.weights
            sums = logits.new_zeros(logits.shape)
            if begun is not None:
                sums[..., : right - left] = begun
            if (carried := shared.take(left + width - right)) is not None:
                sums[:, :, : carried.shape[2], right - left :] = carried
            sums += logits
            begun, right = sums[..., following - left :].clone(), left + width
            del logits, carried
            yield left, sums[..., : following - left]
            del sums

    def _mean(self, top: int, left: int, sums: Tensor) -> Part:
        counts = self.view.counts(top, top + sums.shape[2], left, left + sums.shape[3])
        return top, left, sums / self.tensor(counts)


class Columns:
    """Columns that come in blocks of some width, (B, K, h, w), and are taken in blocks of another."""

    def __init__(self, blocks: Iterator[Tensor]):
        self.blocks = blocks
        self.rest: Tensor | None = None

    def take(self, count: int) -> Tensor | None:
        """The next `count` columns; None if there is no block."""
        rest = self.rest
        while rest is None or rest.shape[3] < count:
            block = next(self.blocks, None)
            if block is None:
                return None
            rest = block if rest is None else torch.cat((rest, block), 3)
        self.rest = rest[..., count:]
        return rest[..., :count]


def taken(items: deque) -> Iterator:
    """The items in their order; each leaves the queue when it is asked for, and its memory with it."""
    while items:
        yield items.popleft()
