"""The mean over the windows of a view, part by part; `backend_torch/bands.py` is its twin.

A pixel's logits are added up window by window, row by row, as if the whole map were kept: its parts are the same bit for bit.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from mindspore import Tensor, ops

from segformer_core.protocol.bands import Span, bands, columns
from segformer_core.protocol.plan import View

Part = tuple[int, int, Tensor]
"""First row, first column, (B, K, h, w)."""


class Windows:
    """`logits` is (top, left) -> (B, K, h, w), as the network gives them of a window; `resized` gives those of its pixels."""

    def __init__(self, view: View, logits: Callable[[int, int], Tensor], resized: Callable[[Tensor], Tensor]):
        self.view, self.logits, self.resized = view, logits, resized
        self.weights = Tensor(view.weights) if view.feather else None

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
                near = {place: cut(rows, 3, done, rows.shape[3]) for place, rows in near.items() if rows.shape[3] > done}

    def bands(self) -> Iterator[tuple[int, Tensor]]:
        """The mean scores in bands of rows: first row, and (B, K, rows, W)."""
        parts = self.parts()
        for band in bands(self.view):
            yield band.first, self._placed(islice(parts, len(self.view.lefts)))

    def whole(self) -> Tensor:
        """(B, K, *size): the mean scores of all pixels."""
        return self._placed(self.parts())

    def _placed(self, parts: Iterable[Part]) -> Tensor:
        """Parts that fill some rows -> (B, K, rows, W)."""
        rows: dict[int, list[Tensor]] = {}
        for row, _, scores in parts:
            rows.setdefault(row, []).append(scores)
            del scores
        return joined([joined(rows.pop(row), 3) for row in sorted(rows)], 2)

    def _rows(self, logits: Tensor, top: int, band: Span) -> Tensor:
        """(B, K, h, w) of the window row at `top` -> (B, K, rows, crop): the pixels' logits, weighted, in the band."""
        logits = self.resized(logits)
        if self.weights is not None:
            logits = ops.mul(logits, self.weights)
        return cut(logits, 2, band.first - top, min(band.end - top, logits.shape[2]))

    def _mean(self, near: dict[tuple[int, int], Tensor], band: Span, column: Span) -> Tensor:
        """(B, K, rows, columns): the mean of all windows in their order; `near` has their scores from the first column on."""
        any_rows = near[band.first, column.first]
        sums = ops.zeros((*any_rows.shape[:2], band.end - band.first, column.end - column.first), dtype=any_rows.dtype)
        for top in band.windows:
            for left in column.windows:
                rows = near[top, left]
                rows = cut(rows, 3, 0, min(column.end - column.first, rows.shape[3]))
                sums = ops.add(sums, filled(rows, sums.shape))
        return ops.div(sums, Tensor(self.view.counts(band.first, band.end, column.first, column.end)))


def cut(x: Tensor, axis: int, start: int, end: int) -> Tensor:
    """(B, K, h, w) -> the rows (axis 2) or columns (axis 3) from `start` to before `end`."""
    if (start, end) == (0, x.shape[axis]):
        return x
    begin, size = [0, 0, 0, 0], list(x.shape)
    begin[axis], size[axis] = start, end - start
    return ops.Slice()(x, begin, size)


def joined(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else ops.concat(parts, axis)


def filled(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`x` with zeros below it and to its right."""
    for axis in (2, 3):
        if x.shape[axis] < shape[axis]:
            zeros = list(x.shape)
            zeros[axis] = shape[axis] - x.shape[axis]
            x = ops.concat([x, ops.zeros(tuple(zeros), dtype=x.dtype)], axis)
    return x
