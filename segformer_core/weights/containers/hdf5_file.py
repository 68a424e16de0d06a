"""HDF5 files of Keras and of transformers' TensorFlow models; h5py is an optional package."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segformer_core.errors import WeightsError
from segformer_core.weights.containers.stored import BFLOAT16, Content, Stored

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What h5py raises for a damaged file; which of them depends on the place of the damage."""


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    h5py = _h5py(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise WeightsError(f"{path} is truncated or damaged ({error}); fetch or write it again") from error
    with file:
        tree: dict[str, Any] = {}

        def visit(name: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset):
                kind = node.dtype.name if node.dtype.kind in "fiub" else "object"
                tree[name] = Stored(node.shape, kind, lambda: _load(node, path))

        try:
            file.visititems(visit)
        except DAMAGE as error:
            raise WeightsError(f"{path} is damaged ({error}); fetch or write it again") from error
        yield Content("HDF5", tree, {}, (path,))


def write(path: Path, arrays: Mapping[str, np.ndarray], type_name: str) -> None:
    """Write a dataset for each array; for names ending in ":0" also the lists that TensorFlow's loader reads."""
    h5py = _h5py(path)
    if type_name == BFLOAT16:
        raise WeightsError("an .h5 file holds numpy arrays, which cannot be bf16; choose --dtype fp32 or fp16")
    weights: dict[str, list[bytes]] = {}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array.astype(type_name, copy=False) if array.dtype.kind == "f" else array)
            layer, _, weight = name.partition("/")
            if weight.endswith(":0"):
                weights.setdefault(layer, []).append(weight.encode())
        if weights:
            file.attrs["layer_names"] = [layer.encode() for layer in weights]
        for layer, names in weights.items():
            file[layer].attrs["weight_names"] = names


def _load(dataset: Any, path: Path) -> np.ndarray:
    try:
        return dataset[()] if dataset.shape else np.asarray(dataset[()])
    except DAMAGE as error:
        raise WeightsError(f"{path} is truncated or damaged in {dataset.name} ({error}); fetch or write it again") from error


def _h5py(path: Path) -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(f"{path} is an HDF5 file and h5py is not installed; run pip install h5py and try again") from error
    return h5py
