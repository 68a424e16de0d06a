"""The mean over the windows of a view, part by part; `backend_torch/bands.py` is its twin.

A pixel's logits are added up window by window, row by row, as if the whole map were kept: its parts are the same bit for bit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from mindspore import Tensor, ops

from segformer_core.protocol.bands import bands
from segformer_core.protocol.plan import View

Part = tuple[int, int, Tensor]
"""First row, first column, (B, K, h, w)."""


class Windows:
    """`logits` is (top, left) -> (B, K, *crop): the scores of a window."""

    def __init__(self, view: View, logits: Callable[[int, int], Tensor]):
        self.view, self.logits = view, logits
        self.weights = Tensor(view.weights) if view.feather else None

    def parts(self) -> Iterator[Part]:
        """The mean scores, each pixel once: band after band as `protocol.bands.bands` lists them.

        Between two rows of windows only the sums are kept that both add to, and within a row the last window's.
        """
        tops = self.view.tops
        above: Iterator[Tensor] = iter(())
        for top, following in zip(tops[:-2], tops[1:-1], strict=True):
            kept: deque[Tensor] = deque()
            for left, sums in self._row(top, above):
                kept.append(cut(sums, 2, following - top, sums.shape[2]))
                yield self._mean(top, left, cut(sums, 2, 0, following - top))
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
        rows: dict[int, list[Tensor]] = {}
        for row, _, scores in parts:
            rows.setdefault(row, []).append(scores)
            del scores
        return joined([joined(rows.pop(row), 3) for row in sorted(rows)], 2)

    def _last_rows(self, tops: tuple[int, ...], above: Iterator[Tensor]) -> Iterator[Part]:
        """The last two rows of windows side by side, so that little is kept of what may be nearly all of a window's height."""
        *before, last = tops
        finished: deque[Part] = deque()

        def passed_on(top: int) -> Iterator[Tensor]:
            for left, sums in self._row(top, above):
                finished.append(self._mean(top, left, cut(sums, 2, 0, last - top)))
                yield cut(sums, 2, last - top, sums.shape[2])
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
                logits = ops.mul(logits, self.weights)
            carried = shared.take(left + width - right)
            if carried is not None:
                carried = pad(carried, 2, 0, logits.shape[2] - carried.shape[2])
            elif begun is not None:
                carried = zeros(logits, 3, left + width - right)
            sums = logits
            if carried is not None:
                sums = ops.add(carried if begun is None else ops.concat((begun, carried), 3), logits)
            begun, right = cut(sums, 3, following - left, width), left + width
            del logits, carried
            yield left, cut(sums, 3, 0, following - left)
            del sums

    def _mean(self, top: int, left: int, sums: Tensor) -> Part:
        counts = self.view.counts(top, top + sums.shape[2], left, left + sums.shape[3])
        return top, left, ops.div(sums, Tensor(counts))


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
            rest = block if rest is None else ops.concat((rest, block), 3)
        self.rest = cut(rest, 3, count, rest.shape[3])
        return cut(rest, 3, 0, count)


def taken(items: deque) -> Iterator:
    """The items in their order; each leaves the queue when it is asked for, and its memory with it."""
    while items:
        yield items.popleft()


def cut(x: Tensor, axis: int, start: int, end: int) -> Tensor:
    """(B, K, h, w) -> the rows (axis 2) or columns (axis 3) from `start` to before `end`."""
    if (start, end) == (0, x.shape[axis]):
        return x
    begin, size = [0, 0, 0, 0], list(x.shape)
    begin[axis], size[axis] = start, end - start
    return ops.Slice()(x, begin, size)


def joined(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else ops.concat(parts, axis)


def pad(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """`x` with zeros added before and after it on one axis."""
    parts = [zeros(x, axis, before)] * (before > 0) + [x] + [zeros(x, axis, after)] * (after > 0)
    return joined(parts, axis)


def zeros(x: Tensor, axis: int, length: int) -> Tensor:
    """Zeros of the shape of `x`, but of `length` on one axis."""
    shape = list(x.shape)
    shape[axis] = length
    return ops.zeros(tuple(shape), dtype=x.dtype)
