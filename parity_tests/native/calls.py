"""The library's functions, called with numpy's arrays as MindSpore calls them."""

import ctypes
from collections.abc import Sequence

import numpy as np

from backend_mindspore.native import library
from parity_tests.support import mindspore_runtime

Shape = Sequence[int]


def path() -> str:
    """The library of this machine. The tests need a C++ compiler, as `docs/troubleshooting.md` says."""
    lines: list[str] = []
    with library.kernels(mindspore_runtime("graph"), lines.append) as found:
        assert found, lines
        return found


def call(name: str, inputs: Sequence[np.ndarray], shapes: Sequence[Shape]) -> list[np.ndarray]:
    """The results, of these shapes; the last number of each array is followed by one that nothing may change."""
    guarded = [np.full(int(np.prod(shape)) + 1, 7.0, np.float32) for shape in shapes]
    given = [np.ascontiguousarray(array, np.float32) for array in inputs]
    arrays = [*given, *guarded]
    sizes = [np.array(shape, np.int64) for shape in (*(array.shape for array in given), *shapes)]
    pointers = (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
    ranks = (ctypes.c_int * len(sizes))(*map(len, sizes))
    shape_pointers = (ctypes.c_void_p * len(sizes))(*(size.ctypes.data for size in sizes))
    assert getattr(ctypes.CDLL(path()), name)(len(arrays), pointers, ranks, shape_pointers, None, None, None) == 0
    assert all(array[-1] == 7.0 for array in guarded), "it writes behind a result"
    return [array[:-1].reshape(shape) for array, shape in zip(guarded, shapes, strict=True)]
