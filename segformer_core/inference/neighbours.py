"""Rows that are painted as if all were there: with some rows above and below them, which a painter looks at."""

from typing import Any

import numpy as np

Arrays = tuple[Any, ...]
"""Each (rows, …), or None for what there is none of."""


class Neighbours:
    """Takes the rows of an image from the top, and gives them back with `reach` rows above and below."""

    def __init__(self, reach: int):
        self.reach, self.above = reach, 0
        self.held: Arrays = ()

    def add(self, *arrays: np.ndarray | None) -> tuple[Arrays, slice]:
        """The next rows -> rows that are there, and which of them have all their neighbours and were not among these before."""
        pairs = zip(self.held or (None,) * len(arrays), arrays, strict=True)
        rows = tuple(new if old is None or new is None else np.concatenate((old, new)) for old, new in pairs)
        return self._given(rows, _count(rows) - self.reach)

    def rest(self) -> tuple[Arrays, slice]:
        """The same for the last rows, below which there are none."""
        return self._given(self.held, _count(self.held))

    def _given(self, rows: Arrays, end: int) -> tuple[Arrays, slice]:
        which = slice(self.above, max(end, self.above))
        first = max(which.stop - self.reach, 0)
        self.above = which.stop - first
        self.held = tuple(None if array is None else array[first:].copy() for array in rows)
        return rows, which


def _count(rows: Arrays) -> int:
    return max((len(array) for array in rows if array is not None), default=0)
