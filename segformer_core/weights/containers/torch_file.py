"""PyTorch's .pth, .pt and .bin without PyTorch: the zip form is read and written, the older stream of pickles only read."""

import io
import math
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.errors import WeightsError
from segformer_core.weights.containers.pickles import Replacements, SafeUnpickler, unpickle
from segformer_core.weights.containers.stored import BFLOAT16, STORED_TYPES, Content, Stored, encoded, from_bytes, raw_bytes

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = pickle.PROTO + b"\x02" + pickle.LONG1 + b"\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little")
"""The number at the start of the older form, pickled with protocol 2."""

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


@dataclass(frozen=True)
class StorageType:
    type_name: str


@dataclass(frozen=True)
class Storage:
    """`count` numbers; `read` gives their bytes."""

    type_name: str
    count: int
    read: Callable[[], Any]


def _tensor(storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Stored:
    """torch._utils._rebuild_tensor: a strided view of a storage."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    size, stride = tuple(size), tuple(stride)
    if offset < 0 or any(length < 0 for length in size) or any(step < 0 for step in stride) or len(size) != len(stride):
        raise ValueError(f"a tensor of offset {offset}, size {size}, stride {stride}")
    reach = offset + 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if math.prod(size) and reach > storage.count:
        raise ValueError(f"a tensor of size {size} reaches beyond its storage of {storage.count} numbers")

    def load() -> np.ndarray:
        numbers = from_bytes(storage.read(), storage.type_name, (storage.count,))[offset:]
        return np.lib.stride_tricks.as_strided(numbers, size, [step * numbers.itemsize for step in stride], writeable=False)

    return Stored(size, storage.type_name, load)


REPLACEMENTS: Replacements = {
    **{("torch", name): StorageType(type_name) for name, type_name in STORAGES.items()},
    **{("torch.storage", name): StorageType(type_name) for name, type_name in STORAGES.items()},
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch", "Size"): tuple,
}


@contextmanager
def opened_zip(path: Path) -> Iterator[Content]:
    """The tree of a zip that torch.save wrote."""
    source = str(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is truncated or damaged ({error}); fetch or write it again") from error
    with archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise WeightsError(f"{path} is a zip archive but not one that torch.save wrote; unpack it and name the weight file")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and _read(archive, f"{root}byteorder", source) != b"little":
            raise WeightsError(f"{path} was written on a big-endian machine; save it on a little-endian one")

        @lru_cache(maxsize=1)  # tensors that share a storage follow each other
        def read(name: str) -> bytes:
            return _read(archive, name, source)

        def storage(pid: tuple) -> Storage:
            kind, key, count = _storage_id(pid)
            name = f"{root}data/{key}"
            byte_count = archive.getinfo(name).file_size
            if byte_count != count * STORED_TYPES[kind.type_name].itemsize:
                raise ValueError(f"storage {key} says {count} numbers of {kind.type_name} and holds {byte_count} bytes")
            return Storage(kind.type_name, count, lambda: read(name))

        tree = unpickle(SafeUnpickler(io.BytesIO(_read(archive, pickles[0], source)), source, REPLACEMENTS, storage))
        yield Content("PyTorch", _dictionary(tree, source), {}, (path,))


@contextmanager
def opened_legacy(path: Path) -> Iterator[Content]:
    """The tree of a file that torch.save wrote before PyTorch 1.6, or without its zip form."""
    source = str(path)
    with path.open("rb") as file:
        for _ in ("magic number", "protocol version", "machine"):
            unpickle(SafeUnpickler(file, source, {}))
        contents: dict[str, bytes] = {}
        storages: dict[str, Storage] = {}

        def storage(pid: tuple) -> Storage:
            kind, key, count = _storage_id(pid[:5])
            return storages.setdefault(key, Storage(kind.type_name, count, lambda: contents[key]))

        tree = unpickle(SafeUnpickler(file, source, REPLACEMENTS, storage))
        for key in unpickle(SafeUnpickler(file, source, {})):
            entry = storages.get(key)
            length = file.read(8)
            if entry is None or len(length) < 8 or struct.unpack("<q", length)[0] != entry.count:
                raise WeightsError(f"{path} is damaged: storage {key!r} has another length than its tensors say; fetch it again")
            contents[key] = file.read(entry.count * STORED_TYPES[entry.type_name].itemsize)
            if len(contents[key]) < entry.count * STORED_TYPES[entry.type_name].itemsize:
                raise WeightsError(f"{path} is truncated: storage {key!r} ends too early; fetch it again")
        yield Content("PyTorch, before the zip form", _dictionary(tree, source), {}, (path,))


def write(path: Path, arrays: Mapping[str, np.ndarray], type_name: str) -> None:
    """Write a state_dict as torch.save does: an OrderedDict of contiguous tensors, each with its own storage."""
    root = "archive/"
    pickled = io.BytesIO()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        pickled.write(pickle.PROTO + b"\x02" + _global("collections", "OrderedDict") + EMPTY_CALL + pickle.MARK)
        for key, (name, array) in enumerate(arrays.items()):
            values, written = encoded(array, type_name)
            pickled.write(_text(name) + _pickled_tensor(str(key), values.shape, written))
            archive.writestr(f"{root}data/{key}", raw_bytes(values))
        pickled.write(pickle.SETITEMS + pickle.STOP)
        archive.writestr(f"{root}data.pkl", pickled.getvalue())
        archive.writestr(f"{root}byteorder", "little")
        archive.writestr(f"{root}version", "3\n")


EMPTY_CALL = pickle.EMPTY_TUPLE + pickle.REDUCE


def _pickled_tensor(key: str, shape: tuple[int, ...], type_name: str) -> bytes:
    """The opcodes of _rebuild_tensor_v2(storage, 0, size, stride, requires_grad=False, backward_hooks=OrderedDict())."""
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    storage = (
        *(pickle.MARK, _text("storage"), _global("torch", STORAGE_OF[type_name])),
        *(_text(key), _text("cpu"), _integer(math.prod(shape)), pickle.TUPLE, pickle.BINPERSID),
    )
    return b"".join(
        (
            *(_global("torch._utils", "_rebuild_tensor_v2"), pickle.MARK, *storage, _integer(0)),
            *(_integers(shape), _integers(strides), pickle.NEWFALSE),
            *(_global("collections", "OrderedDict"), EMPTY_CALL, pickle.TUPLE, pickle.REDUCE),
        )
    )


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    raw = text.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(raw)) + raw


def _integer(number: int) -> bytes:
    return pickle.BININT + struct.pack("<i", number)


def _integers(numbers: tuple[int, ...]) -> bytes:
    return pickle.MARK + b"".join(map(_integer, numbers)) + pickle.TUPLE


def _storage_id(pid: tuple) -> tuple[StorageType, str, int]:
    """(type, key, count) of ("storage", type, key, location, count)."""
    label, kind, key, _, count = pid
    if label != "storage" or not isinstance(kind, StorageType):
        raise ValueError(f"a storage of unknown type: {pid!r}")
    return kind, str(key), int(count)


def _dictionary(tree: Any, source: str) -> Mapping[str, Any]:
    if isinstance(tree, Mapping):
        return tree
    raise WeightsError(
        f"{source} holds a {type(tree).__name__}, not a dictionary of arrays; load it where it was made and save its state_dict()"
    )


def _read(archive: zipfile.ZipFile, name: str, source: str) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise WeightsError(f"{source} is damaged in {name} ({error}); fetch or write it again") from error
