"""The library of this machine, and its functions, called with numpy's arrays."""

import os
import shutil
from collections.abc import Sequence

import numpy as np
import pytest

from backend_mindspore.native import direct, library
from parity_tests.support import mindspore_runtime
from segformer_core.protocol.bands import row_mix


def path() -> str:
    """It is compiled if need be. Where there is no C++ compiler the test is skipped."""
    if not shutil.which(os.environ.get(library.COMPILER, library.DEFAULT_COMPILER)):
        pytest.skip("no C++ compiler (g++, or what CXX names) is on the PATH")
    lines: list[str] = []
    found = library.library_for(mindspore_runtime("graph"), lines.append)
    assert found, lines
    return found


def call(name: str, inputs: Sequence[np.ndarray], shapes: Sequence[Sequence[int]], dtype: type = np.float32) -> list[np.ndarray]:
    """The results, of these shapes. Behind each array is a number that nothing may change."""
    guarded: list[np.ndarray] = [np.full(int(np.prod(shape)) + 1, 7, dtype) for shape in shapes]
    results = [array[:-1].reshape(shape) for array, shape in zip(guarded, shapes, strict=True)]
    given = [np.ascontiguousarray(array, np.int32 if array.dtype == np.int32 else np.float32) for array in inputs]
    direct.call(path(), name, given, results)
    assert all(array[-1] == 7 for array in guarded), "it writes behind a result"
    return results


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng((seed, *shape)).standard_normal(shape) * scale).astype(np.float32)


def axis(inputs: int, outputs: int) -> np.ndarray:
    mix = row_mix(inputs, outputs, 0, outputs)
    return np.stack([mix.low + mix.first, mix.share[:, 0]])
