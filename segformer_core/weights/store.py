"""Weight files in our own form: safetensors with canonical names, PyTorch's layout and the network's identity as metadata."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from segformer_core.errors import WeightsError
from segformer_core.files import atomic_write
from segformer_core.spec.arrays import check_arrays
from segformer_core.spec.model import SegFormer
from segformer_core.weights.architecture import Architecture
from segformer_core.weights.containers import safetensors_file
from segformer_core.weights.containers.stored import Content, Stored, encoded, from_bytes, raw_bytes

SUFFIX = ".safetensors"
FORMAT_NAME = "segformer_core"
FILE_FORMAT = f"{FORMAT_NAME} 1"
ARRAYS_HASH, METADATA_HASH = "sha256", "metadata_sha256"
"""The metadata's keys for the hash of the arrays, and for that of all other metadata, the arrays' hash among them."""


def save_weights(path: Path, spec: SegFormer, arrays: Mapping[str, np.ndarray], **metadata: str) -> None:
    """Write all arrays of `spec`, atomically. Raises WeightsError for a wrong set of arrays, UserError if it cannot write."""
    check_arrays(spec, arrays, "the set of arrays to save")
    save_described(path, spec, arrays, metadata)


def save_described(path: Path, spec: SegFormer, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write any arrays as float32, with the identity of `spec` and both hashes in the metadata, atomically."""
    described = hashed(arrays, "float32", {"format": FILE_FORMAT, **spec.identity(), **metadata})
    atomic_write(path, lambda temporary: safetensors_file.write(temporary, arrays, "float32", described))


def hashed(arrays: Mapping[str, np.ndarray], type_name: str, metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a file of these arrays, floats stored as `type_name`, with a hash of the arrays and one of the rest.

    Half characters, as names of files may hold, become codes: no reader takes them.
    """
    whole = {name: value.encode(errors="backslashreplace").decode() for name, value in metadata.items()}
    described = {**whole, ARRAYS_HASH: _sha256(arrays, lambda name: _as_read(arrays[name], type_name))}
    return {**described, METADATA_HASH: _metadata_sha256(described)}


def check_hashes(content: Content, path: Path) -> None:
    """Raise WeightsError if a file of ours does not hold what was saved in it; other files have no hashes. Reads all arrays."""
    check_metadata(content.metadata, path)
    wanted = content.metadata.get(ARRAYS_HASH)
    ours = content.metadata.get("format", "").startswith(FORMAT_NAME) or METADATA_HASH in content.metadata
    if not ours or wanted is None or len(content.files) > 1:
        return
    arrays = {name: stored for name, stored in content.tree.items() if isinstance(stored, Stored)}
    check_arrays_hash(arrays, lambda name: arrays[name].load(), wanted, path)


def check_arrays_hash(names: Iterable[str], load: Callable[[str], np.ndarray], wanted: str, path: Path) -> None:
    """Raise WeightsError if the arrays, which `load` gives by name, do not have the hash `wanted`."""
    if _sha256(names, load) != wanted:
        raise WeightsError(
            f"{path} is damaged: its arrays do not have the hash that they were saved with; copy or write it again (a program "
            "that changes arrays on purpose must leave the metadata out)"
        )


def check_metadata(metadata: Mapping[str, str], path: Path) -> None:
    """Raise WeightsError if the metadata do not have their hash. Files of versions before it have none."""
    described = dict(metadata)
    wanted = described.pop(METADATA_HASH, None)
    if wanted is not None and wanted != _metadata_sha256(described):
        raise WeightsError(
            f"{path} is damaged: its metadata do not have the hash that they were saved with; copy or write it again (a program "
            "that changes metadata on purpose must leave the hashes out)"
        )


def sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names and bytes of all arrays, sorted by name, in hexadecimal."""
    return _sha256(arrays, arrays.__getitem__)


def _sha256(names: Iterable[str], load: Callable[[str], np.ndarray]) -> str:
    """`sha256`, one array after the other, so that a file of them need not fit in memory."""
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(name.encode())
        digest.update(raw_bytes(np.ascontiguousarray(load(name))))
    return digest.hexdigest()


def _metadata_sha256(metadata: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


def _as_read(array: np.ndarray, type_name: str) -> np.ndarray:
    """What a file gives back of an array that it stores as `type_name`."""
    values, written = encoded(array, type_name)
    return from_bytes(raw_bytes(values), written, values.shape)


def description(architecture: Architecture, numerics: str) -> dict[str, str]:
    """The metadata that says what network a canonical file holds; an encoder has no class_num and no decoder_width."""
    identity = architecture.spec(numerics).identity()
    if architecture.class_count is None:
        del identity["class_num"], identity["decoder_width"]
    if architecture.variant == "custom":
        identity |= {"widths": str(list(architecture.widths)), "depths": str(list(architecture.depths))}
    return {"format": FILE_FORMAT, **identity}
