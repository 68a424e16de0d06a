"""PyTorch's tensors and storages as its pickles describe them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from segformer_core.errors import brief
from segformer_core.weights.containers.pickle_machine import Constructor
from segformer_core.weights.containers.pickled_arrays import PickledArray, lengths
from segformer_core.weights.containers.pickles import Inert, Replacements, Unreadable
from segformer_core.weights.containers.stored import BFLOAT16, OTHER_TYPES, STORED_TYPES, Stored, from_bytes

STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": BFLOAT16,
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
STORAGE_OF = {type_name: storage for storage, type_name in STORAGES.items()}
OTHER_STORAGES = {
    "UntypedStorage": "uint8",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}
"""Storages that are read, never written."""
ITEM_BYTES = {type_name: dtype.itemsize for type_name, dtype in STORED_TYPES.items()} | OTHER_TYPES
LARGEST = 2**62
MOST_REPEATED = 2**20
"""Numbers of a tensor that repeats those of its storage (stride 0); they cost memory only once they are loaded."""


@dataclass(frozen=True)
class NumberType:
    """A type of numbers, or a class of storages of it: a key of STORED_TYPES or OTHER_TYPES."""

    type_name: str


@dataclass(frozen=True)
class Storage:
    """`count` numbers; `read` gives their bytes."""

    type_name: str
    count: int
    read: Callable[[], Any]

    @property
    def byte_count(self) -> int:
        return self.count * ITEM_BYTES[self.type_name]


def storage_id(pid: Any) -> tuple[NumberType, str, int]:
    """(type, key, count) of ("storage", type, key, location, count). Raises ValueError."""
    label, kind, key, _, count, *view = pid
    if label != "storage" or not isinstance(kind, NumberType) or any(view):
        raise ValueError(f"a storage of unknown type: {brief(pid)}")
    if not isinstance(count, int) or not 0 <= count < LARGEST:
        raise ValueError(f"a storage of {brief(count)} numbers")
    return kind, key if isinstance(key, str) else brief(key), count


def is_module(pid: Any) -> bool:
    """Whether a persistent id is that of a module's class: the older form stores its source code beside it."""
    return isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module"


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Stored:
    """torch._utils._rebuild_tensor, _v2 and _v3: a strided view of a storage; in the last, `rest` ends in its type."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    size, stride = lengths(size), lengths(stride)
    if not isinstance(offset, int) or not 0 <= offset <= LARGEST or len(size) != len(stride):
        raise ValueError(f"a tensor of offset {brief(offset)}, size {brief(size)}, stride {brief(stride)}")
    stated = rest[2] if len(rest) > 2 else None
    type_name = stated.type_name if isinstance(stated, NumberType) else storage.type_name
    count = storage.byte_count // (ITEM_BYTES[type_name] or 1)
    reach = offset + 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if math.prod(size) and reach > count:
        raise ValueError(f"a tensor of size {brief(size)} reaches beyond its storage of {count} numbers")
    if math.prod(size) > max(count, MOST_REPEATED):
        raise ValueError(f"a tensor of size {brief(size)} repeats the {count} numbers of its storage")
    if type_name in OTHER_TYPES:
        return Stored.unread(size, type_name)

    def load() -> np.ndarray:
        numbers = from_bytes(storage.read(), type_name, (count,))[offset:]
        return np.lib.stride_tricks.as_strided(numbers, size, [step * numbers.itemsize for step in stride], writeable=False)

    return Stored(size, type_name, load)


def _quantised(storage: Any, _: Any, size: Any, *__: Any) -> Stored:
    return Stored.unread(lengths(size), storage.type_name)


def _sparse(_: Any, data: Any) -> Stored:
    shape = data[-1] if isinstance(data, tuple | list) and data and isinstance(data[-1], tuple | list) else data[-2]
    return Stored.unread(lengths(shape), "sparse")


def _without_numbers(_: Any, size: Any, *__: Any) -> Stored:
    return Stored.unread(lengths(size), "meta")


def _of_subclass(function: Any, _: Any, arguments: Any, __: Any = None) -> Any:
    """A tensor with attributes of its own. Only a tensor's own constructors are called."""
    if isinstance(function, Constructor) and function.name in TENSOR_CONSTRUCTORS and isinstance(arguments, tuple | list):
        return function.build(*arguments)
    return Inert("torch.Tensor")


def _of_numpy(array: Any, *_: Any) -> Any:
    """A tensor of a device that PyTorch does not know, stored by way of numpy."""
    return array.stored if isinstance(array, PickledArray) and array.stored else array


def _pickled_alone(_: Any) -> Any:
    raise Unreadable("holds tensors that were pickled without torch.save; load it where it was made and store it with torch.save")


TENSORS: Replacements = {
    **{("torch._utils", f"_rebuild_tensor{version}"): _tensor for version in ("", "_v2", "_v3")},
    ("torch._utils", "_rebuild_qtensor"): _quantised,
    ("torch._utils", "_rebuild_sparse_tensor"): _sparse,
    ("torch._utils", "_rebuild_sparse_csr_tensor"): _sparse,
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _without_numbers,
    **{("torch._utils", f"_rebuild_device_tensor_from_{kind}"): _of_numpy for kind in ("numpy", "cpu_tensor")},
}
TENSOR_CONSTRUCTORS = frozenset(".".join(names) for names in TENSORS)

PICKLED_ALONE: Replacements = {("torch.storage", "_load_from_bytes"): _pickled_alone}

REPLACEMENTS: Replacements = {
    **TENSORS,
    **{(module, name): NumberType(kind) for module in ("torch", "torch.storage") for name, kind in STORAGES.items()},
    **{(module, name): NumberType(kind) for module in ("torch", "torch.storage") for name, kind in OTHER_STORAGES.items()},
    **{("torch", type_name): NumberType(type_name) for type_name in (*STORED_TYPES, *OTHER_TYPES)},
    **{("torch._utils", f"_rebuild_parameter{state}"): lambda data, *_: data for state in ("", "_with_state")},
    **{("torch._tensor", f"_rebuild_from_type{version}"): _of_subclass for version in ("", "_v2")},
    **PICKLED_ALONE,
    ("torch", "Size"): lambda size=(): size,
}
"""For what PyTorch's pickles of tensors import."""
