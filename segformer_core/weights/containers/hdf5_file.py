"""HDF5 files of Keras and of transformers' TensorFlow models; h5py is an optional package."""

import io
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segformer_core.errors import WeightsError, brief, install
from segformer_core.weights.containers.limits import check_unpacked
from segformer_core.weights.containers.stored import BFLOAT16, OTHER_TYPES, STORED_TYPES, Content, Stored
from segformer_core.weights.containers.tree import printable, tree_of

DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError, AttributeError, zlib.error)
"""What h5py raises for a damaged file; which of them depends on the place of the damage."""
GZIP, SHUFFLE, FLETCHER32 = 1, 2, 3
CHECKED_FILTERS, CHECKSUM_BYTES = {GZIP, SHUFFLE, FLETCHER32}, 4
"""HDF5's numbers of the filters that are read."""
MOST_LEVELS, MOST_OBJECTS = 64, 100_000
"""Of groups in groups, and of groups and datasets: Keras needs 10 and 1,000."""


@contextmanager
def opened(path: Path, inside: bytes | None = None, container: str = "HDF5") -> Iterator[Content]:
    """The datasets of a file, or of one that lies inside another file. No other file is opened: links out of it are refused."""
    h5py = _h5py(path)
    try:
        file = h5py.File(path if inside is None else io.BytesIO(inside), "r")
    except DAMAGE as error:
        raise _damaged(path, error, "truncated or damaged") from error
    with file:
        tree: dict[str, Any] = {}
        unpacked = 0
        try:
            for name, dataset in _datasets(h5py, file, path):
                tree[name] = _stored(dataset, path)
                unpacked += max(dataset.nbytes, _chunk_bytes(dataset)) if isinstance(tree[name], Stored) else 0
        except DAMAGE as error:
            raise _damaged(path, error) from error
        check_unpacked(path, unpacked, path.stat().st_size if inside is None else len(inside))
        yield Content(container, tree_of(tree), {}, (path,))


def write(path: Path, arrays: Mapping[str, np.ndarray], type_name: str) -> None:
    """Write a dataset for each array; for names ending in ":0" also the lists that TensorFlow's loader reads."""
    h5py = _h5py("this .h5 file")
    if type_name == BFLOAT16:
        raise WeightsError("an .h5 file holds numpy arrays, which cannot be bf16; choose --dtype fp32 or fp16")
    weights: dict[str, list[bytes]] = {}
    whole = BytesIO()  # on a full disk h5py raises errors of many kinds and leaves the file open
    with h5py.File(whole, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array.astype(type_name, copy=False) if array.dtype.kind == "f" else array)
            layer, _, weight = name.partition("/")
            if weight.endswith(":0"):
                weights.setdefault(layer, []).append(weight.encode())
        if weights:
            file.attrs["layer_names"] = [layer.encode() for layer in weights]
        for layer, names in weights.items():
            file[layer].attrs["weight_names"] = names
    path.write_bytes(whole.getbuffer())


def _datasets(h5py: ModuleType, file: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Every dataset once, by its name. Raises WeightsError for one whose numbers lie elsewhere, and for links by name."""
    groups, seen = [("", file, 0)], set()
    while groups:
        prefix, group, level = groups.pop()
        for key in group:
            name = f"{prefix}{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise _elsewhere(path, name, "is a link to another place")
            node = group[key]
            address = h5py.h5o.get_info(node.id).addr
            if address in seen:
                continue
            seen.add(address)
            if level >= MOST_LEVELS or len(seen) > MOST_OBJECTS:
                raise WeightsError(f"{path} has more groups, or groups in groups, than weights need; do not trust the file")
            if isinstance(node, h5py.Group):
                groups.append((f"{name}/", node, level + 1))
            elif isinstance(node, h5py.Dataset):
                if node.external:
                    raise _elsewhere(path, name, "has external storage")
                if node.is_virtual:
                    raise _elsewhere(path, name, "is a virtual dataset")
                yield name, node


def _elsewhere(path: Path, name: str, what: str) -> WeightsError:
    return WeightsError(
        f"{path} does not hold all of its weights: {printable(name)} {what}; expected one file that refers to no other; "
        "copy the weights into one where they were made"
    )


def _stored(dataset: Any, path: Path) -> object:
    kind, shape = dataset.dtype.name, dataset.shape
    if shape is None or dataset.dtype.kind not in "fiubc":
        return brief(dataset.dtype)  # texts and references: never a weight
    if kind in STORED_TYPES:
        return Stored(shape, kind, lambda: _load(dataset, path))
    return Stored.unread(shape, kind if kind in OTHER_TYPES else printable(kind))


def _load(dataset: Any, path: Path) -> np.ndarray:
    try:
        _check_chunks(dataset, path)
        return dataset[()] if dataset.shape else np.asarray(dataset[()])
    except DAMAGE as error:
        where = f"truncated or damaged in {printable(dataset.name)}"
        raise _damaged(path, error, where) from error


def _check_chunks(dataset: Any, path: Path) -> None:
    """Unpack each chunk within its stated size first: the library lets a chunk grow a thousandfold."""
    filters = [dataset.id.get_create_plist().get_filter(at)[0] for at in range(dataset.id.get_create_plist().get_nfilters())]
    if not filters:
        return
    if not set(filters) <= CHECKED_FILTERS or filters.count(GZIP) > 1:
        raise WeightsError(
            f"{path} holds {printable(dataset.name)} compressed by HDF5's filters {filters}; expected gzip (1) or none: write it "
            "again without"
        )
    for index in range(dataset.id.get_num_chunks() if GZIP in filters else 0):
        mask, chunk = dataset.id.read_direct_chunk(dataset.id.get_chunk_info(index).chunk_offset)
        most = _chunk_bytes(dataset) + CHECKSUM_BYTES
        if not mask and len(zlib.decompressobj().decompress(chunk, most + 1)) > most:
            raise ValueError("a chunk unpacks to more than its stated size")


def _chunk_bytes(dataset: Any) -> int:
    return math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0


def _damaged(path: Path, error: Exception, what: str = "damaged") -> WeightsError:
    return WeightsError(f"{path} is {what} ({printable(str(error))}); fetch or write it again")


def _h5py(path: Path | str) -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(f"{path} is an HDF5 file and h5py is not installed: {install('hdf5')}") from error
    return h5py
