"""numpy's arrays, types and numbers as a pickle describes them."""

import math
import re
from typing import Any

import numpy as np

from segformer_core.errors import brief
from segformer_core.weights.containers.pickle_machine import Constructor, Restored
from segformer_core.weights.containers.stored import BFLOAT16, OTHER_TYPES, STORED_TYPES, Stored

PLAIN_TYPE = re.compile(r"[<>=|]?[?a-zA-Z]\d{0,2}")
"""A type of one number; numpy's parser takes far more, and long for it."""
MOST_AXES, LONGEST_AXIS = 64, 2**62


class PickledDtype(Restored):
    """numpy.dtype. `dtype` is of kind O for all but plain numbers; `name` is what a message calls it."""

    def __init__(self, code: Any = None, *_: Any):
        plain = isinstance(code, str) and PLAIN_TYPE.fullmatch(code)
        self.dtype = np.dtype(code) if plain else np.dtype("O")
        self.name = self.dtype.name
        if isinstance(code, Constructor):  # a type of ml_dtypes
            self.name = code.name.rpartition(".")[2]
            self.dtype = STORED_TYPES[BFLOAT16] if self.name == BFLOAT16 else self.dtype

    def restore(self, state: Any) -> None:
        if state[1] in ("<", ">") and self.name != BFLOAT16:
            self.dtype = np.dtype(state[1] + self.dtype.str[1:])  # native where it can be, unlike newbyteorder's


class PickledArray(Restored):
    """numpy.ndarray. `stored` is its array, or None if it holds no numbers."""

    def __init__(self, *_: Any):
        self.stored: Stored | None = None

    def restore(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        shape = lengths(shape)
        if kind.name in OTHER_TYPES:
            self.stored = Stored.unread(shape, kind.name)
        elif (kind.dtype.kind in "fiub" or kind.name == BFLOAT16) and isinstance(raw, bytes | bytearray | str):
            self.stored = _array(raw, kind.dtype, shape, "F" if fortran else "C")

    def __repr__(self) -> str:
        return "an array" if self.stored else "an array of objects"


def array_of_buffer(raw: Any, kind: PickledDtype, shape: Any, order: str) -> PickledArray:
    """An array as a pickle of protocol 5 describes it."""
    array = PickledArray()
    array.restore((1, shape, kind, order == "F", raw))
    return array


def bytes_of_text(text: str, encoding: str = "latin1") -> str:
    """The text itself: it is encoded when the array is loaded. Pickles of protocol 2 write bytes in this way."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"an array's bytes are encoded as {brief(encoding)}; expected latin1")
    return text


def number(kind: Any, raw: Any = b"") -> Any:
    """A number of numpy as one of Python; None if it is no number."""
    if not isinstance(kind, PickledDtype) or kind.dtype.kind not in "fiub" or not isinstance(raw, bytes | str):
        return None
    return np.frombuffer(_bytes(raw), kind.dtype, 1)[0].item()


def lengths(shape: Any) -> tuple[int, ...]:
    """A shape, checked. Raises ValueError."""
    numbers = tuple(shape) if isinstance(shape, tuple | list) and len(shape) <= MOST_AXES else (-1,)
    if not all(type(length) is int and 0 <= length <= LONGEST_AXIS for length in numbers):
        raise ValueError(f"an array of shape {brief(shape)}")
    return numbers


def _array(raw: bytes | bytearray | str, dtype: np.dtype, shape: tuple[int, ...], order: Any) -> Stored:
    byte_count = math.prod(shape) * dtype.itemsize
    if byte_count != len(raw):
        raise ValueError(f"an array of shape {brief(shape)} and type {dtype.name} holds {len(raw)} bytes")
    widened = np.dtype(np.float32) if dtype.name == BFLOAT16 else dtype
    return Stored(
        shape, dtype.name, lambda: np.frombuffer(_bytes(raw), dtype).astype(widened, copy=False).reshape(shape, order=order)
    )


def _bytes(raw: bytes | bytearray | str) -> bytes | bytearray:
    return raw.encode("latin1") if isinstance(raw, str) else raw
