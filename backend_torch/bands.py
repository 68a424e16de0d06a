"""The mean over the windows of a view, part by part; `backend_mindspore/bands.py` is its twin.

A pixel's logits are added up window by window, row by row, as if the whole map were kept: its parts are the same bit for bit.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor

from segformer_core.protocol.bands import Span, bands, columns
from segformer_core.protocol.plan import View

Part = tuple[int, int, Tensor]
"""First row, first column, (B, K, h, w)."""


class Windows:
    """`logits` is (top, left) -> (B, K, h, w), as the network gives them of a window; `resized` gives those of its pixels.

    `tensor` brings an array to the device.
    """

    def __init__(
        self,
        view: View,
        logits: Callable[[int, int], Tensor],
        resized: Callable[[Tensor], Tensor],
        tensor: Callable[[np.ndarray], Tensor],
    ):
        self.view, self.logits, self.resized, self.tensor = view, logits, resized, tensor
        self.weights = tensor(view.weights) if view.feather else None

    def parts(self) -> Iterator[Part]:
        """The mean scores, each pixel once: band after band, and in each from left to right.

        A window's logits are kept as the network gives them, a sixteenth of its pixels', and resized again for each band.
        """
        kept: dict[tuple[int, int], Tensor] = {}
        for band in bands(self.view):
            near: dict[tuple[int, int], Tensor] = {}
            for column in columns(self.view):
                kept[band.first, column.first] = self.logits(band.first, column.first)
                for top in band.windows:
                    near[top, column.first] = self._rows(kept[top, column.first], top, band)
                    if top + self.view.crop[0] <= band.end:
                        del kept[top, column.first]
                yield band.first, column.first, self._mean(near, band, column)
                done = column.end - column.first
                near = {place: rows[..., done:].clone() for place, rows in near.items() if rows.shape[3] > done}

    def bands(self) -> Iterator[tuple[int, Tensor]]:
        """The mean scores in bands of rows: first row, and (B, K, rows, W)."""
        parts = self.parts()
        for band in bands(self.view):
            yield band.first, self._placed(islice(parts, len(self.view.lefts)), band.first, band.end)

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

    def _rows(self, logits: Tensor, top: int, band: Span) -> Tensor:
        """(B, K, h, w) of the window row at `top` -> (B, K, rows, crop): the pixels' logits, weighted, in the band."""
        logits = self.resized(logits)
        if self.weights is not None:
            logits = logits * self.weights
        return logits[:, :, band.first - top : band.end - top].clone()  # else all rows stay in memory

    def _mean(self, near: dict[tuple[int, int], Tensor], band: Span, column: Span) -> Tensor:
        """(B, K, rows, columns): the mean of all windows in their order; `near` has their scores from the first column on."""
        any_rows = near[band.first, column.first]
        sums = any_rows.new_zeros((*any_rows.shape[:2], band.end - band.first, column.end - column.first))
        for top in band.windows:
            for left in column.windows:
                rows = near[top, left][..., : column.end - column.first]
                sums[:, :, : rows.shape[2], : rows.shape[3]] += rows
        return sums.div_(self.tensor(self.view.counts(band.first, band.end, column.first, column.end)))
