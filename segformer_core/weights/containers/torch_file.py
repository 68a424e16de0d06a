"""PyTorch's .pth, .pt and .bin without PyTorch: the zip form is read and written, the older stream of pickles only read."""

import io
import math
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.errors import WeightsError, brief
from segformer_core.weights.containers.pickled_tree import plain_tree
from segformer_core.weights.containers.pickles import SafeUnpickler, unpickle
from segformer_core.weights.containers.stored import Content, encoded, raw_bytes
from segformer_core.weights.containers.torch_tensors import REPLACEMENTS, STORAGE_OF, Storage, is_module, storage_id
from segformer_core.weights.containers.zip_archive import ZipArchive

LEGACY_MAGIC = pickle.PROTO + b"\x02" + pickle.LONG1 + b"\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little")
"""The number at the start of the older form, pickled with protocol 2."""
PICKLE = "data.pkl"


def pickles(names: list[str]) -> list[str]:
    """The members of a zip that may be the pickle of one that torch.save wrote."""
    return [name for name in names if name.rpartition("/")[2] == PICKLE]


@contextmanager
def opened_zip(archive: ZipArchive) -> Iterator[Content]:
    """The tree of a zip that torch.save wrote: one of its members is data.pkl."""
    source = str(archive.path)
    pickled = pickles(archive.names)[0]
    root = pickled.removesuffix(PICKLE)
    if f"{root}constants.pkl" in archive.names:
        raise WeightsError(
            f"{source} is a TorchScript program, not a dictionary of arrays; load it with torch.jit.load where it was made and "
            "store its state_dict() with torch.save"
        )
    if f"{root}byteorder" in archive.names and archive.read(f"{root}byteorder") != b"little":
        raise WeightsError(f"{source} was written on a big-endian machine; save it on a little-endian one")

    @lru_cache(maxsize=1)  # tensors that share a storage follow each other
    def read(name: str) -> bytes:
        return archive.read(name)

    def storage(pid: Any) -> Storage:
        kind, key, count = storage_id(pid)
        name = f"{root}data/{key}"
        found = Storage(kind.type_name, count, lambda: read(name))
        byte_count = archive.size(name)
        if byte_count != found.byte_count:
            raise ValueError(f"storage {brief(key)} says {count} numbers of {kind.type_name} and holds {byte_count} bytes")
        return found

    inert: dict[str, None] = {}
    tree = unpickle(SafeUnpickler(io.BytesIO(archive.read(pickled)), source, REPLACEMENTS, storage, inert))
    yield Content("PyTorch", plain_tree(tree, source), {}, (archive.path,), tuple(inert))


@contextmanager
def opened_legacy(path: Path) -> Iterator[Content]:
    """The tree of a file that torch.save wrote before PyTorch 1.6, or without its zip form."""
    source = str(path)
    with path.open("rb") as file:
        for _ in ("magic number", "protocol version", "machine"):
            unpickle(SafeUnpickler(file, source, {}))
        starts: dict[str, int] = {}
        storages: dict[str, Storage] = {}

        def read(key: str, byte_count: int) -> bytes:
            file.seek(starts[key])
            return file.read(byte_count)

        def storage(pid: Any) -> Any:
            if is_module(pid):
                return pid[1]
            kind, key, count = storage_id(pid)
            made = Storage(kind.type_name, count, lambda: read(key, made.byte_count))
            return storages.setdefault(key, made)

        inert: dict[str, None] = {}
        tree = unpickle(SafeUnpickler(file, source, REPLACEMENTS, storage, inert))
        keys = unpickle(SafeUnpickler(file, source, {}))
        end = os.fstat(file.fileno()).st_size
        for key in keys if isinstance(keys, list) else []:
            entry = storages.get(key) if isinstance(key, str) else None
            length = file.read(8)
            if entry is None or len(length) < 8 or struct.unpack("<q", length)[0] != entry.count:
                raise WeightsError(
                    f"{path} is damaged: storage {brief(key)} has another length than its tensors say; fetch it again"
                )
            starts[key] = file.tell()
            if starts[key] + entry.byte_count > end:
                raise WeightsError(f"{path} is truncated: storage {brief(key)} ends too early; fetch it again")
            file.seek(entry.byte_count, os.SEEK_CUR)
        lost = next((key for key in storages if key not in starts), None)
        if lost is not None:
            raise WeightsError(f"{path} is damaged: storage {brief(lost)} is not in it; fetch it again")
        yield Content("PyTorch, before the zip form", plain_tree(tree, source), {}, (path,), tuple(inert))


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
