"""Arrays as they lie in a file: name, shape and type are known before the numbers are read."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from segformer_core.errors import WeightsError

BFLOAT16 = "bfloat16"
STORED_TYPES = {
    **{name: np.dtype(name) for name in ("float16", "float32", "float64", "bool")},
    **{f"{kind}{bits}": np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    BFLOAT16: np.dtype(ml_dtypes.bfloat16),
}
"""The numpy type of each stored type."""

OTHER_TYPES = {
    "complex32": 4,
    "complex64": 8,
    "complex128": 16,
    **dict.fromkeys(("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "hifloat8"), 1),
    **dict.fromkeys(("float8_e4m3", "float8_e3m4", "float8_e4m3b11fnuz"), 1),
    **dict.fromkeys(("qint8", "quint8", "quint4x2", "quint2x4"), 1),
    **dict.fromkeys(("float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "int4", "uint4"), 1),
    "qint32": 4,
    "sparse": 0,
    "meta": 0,
}
"""Types that are recognised so that a message can name them, and never loaded; with the bytes of a number."""

WRITTEN_TYPES = {"fp32": "float32", "fp16": "float16", "bf16": BFLOAT16}
"""Values of --dtype -> the type in the file."""


@dataclass(frozen=True)
class Stored:
    """One array of a file. `type_name` is a key of STORED_TYPES, and `load` reads it, bfloat16 widened to float32.

    If it is a key of OTHER_TYPES, `load` raises WeightsError.
    """

    shape: tuple[int, ...]
    type_name: str
    load: Callable[[], np.ndarray]

    @staticmethod
    def of(array: np.ndarray) -> "Stored":
        return Stored(array.shape, array.dtype.name, lambda: array)

    @staticmethod
    def unread(shape: tuple[int, ...], type_name: str) -> "Stored":
        """An array of one of OTHER_TYPES."""

        def load() -> np.ndarray:
            raise WeightsError(f"an array is of type {type_name}; expected floats: save it as float32 where it was made")

        return Stored(shape, type_name, load)


@dataclass(frozen=True)
class Content:
    """The content of a file: a tree of dictionaries, whose leaves are Stored or other objects, and the file's metadata.

    `files` are the files that were read, `inert` the classes of objects beside the arrays, of which nothing was run.
    """

    container: str
    tree: Mapping[str, Any]
    metadata: Mapping[str, str]
    files: tuple[Path, ...]
    inert: tuple[str, ...] = ()


def from_bytes(buffer: Any, type_name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Little-endian bytes -> array; a view, except that bfloat16 is widened to float32, which keeps its values."""
    raw = np.frombuffer(buffer, STORED_TYPES[type_name]).reshape(shape)
    raw = raw if sys.byteorder == "little" else raw.byteswap()  # of the native type: MindSpore 2.7 takes no type named "<f4"
    return raw.astype(np.float32) if type_name == BFLOAT16 else raw


def encoded(array: np.ndarray, type_name: str) -> tuple[np.ndarray, str]:
    """A contiguous array whose bytes are `array` as `type_name`, and the type's name; integers stay as they are.

    bfloat16 is rounded to nearest, ties to even.
    """
    if array.dtype.kind != "f":
        return _contiguous(array), array.dtype.name
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return _contiguous(array.astype(STORED_TYPES[type_name], copy=False)), type_name


def raw_bytes(array: np.ndarray) -> memoryview:
    """The bytes of a contiguous array, without a copy."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def _contiguous(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(array.shape)  # ascontiguousarray makes 0-d arrays 1-d
