"""Kernels that are called with numpy's arrays, outside of MindSpore."""

import ctypes
from collections.abc import Sequence

import numpy as np

from backend_mindspore.native.cells import axis_array


def call(path: str, name: str, inputs: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> None:
    """Have the library's function `name` fill the results; all arrays are contiguous. Raises MemoryError."""
    arrays = [*inputs, *results]
    assert all(array.flags.c_contiguous for array in arrays)
    sizes = [np.array(array.shape, np.int64) for array in arrays]
    pointers = (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
    ranks = (ctypes.c_int * len(arrays))(*(array.ndim for array in arrays))
    shapes = (ctypes.c_void_p * len(arrays))(*(size.ctypes.data for size in sizes))
    library = ctypes.CDLL(path)
    if library.guarded(getattr(library, name), pointers, ranks, shapes):
        raise MemoryError(f"there is not enough memory for the kernel {name}")


def most_likely(path: str, scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(B, K, h, w) float32 -> (B, *size) uint8: the arg-max of the upsampled scores, which are not kept."""
    B, _, h, w = scores.shape
    labels = np.empty((B, *size), np.uint8)
    axes = axis_array(h, size[0]), axis_array(w, size[1])
    call(path, "Labels", [np.ascontiguousarray(scores), *axes], [labels])
    return labels
