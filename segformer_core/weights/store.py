"""Weight files in our own form: safetensors with canonical names, PyTorch's layout and the network's identity as metadata."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from segformer_core.files import atomic_write
from segformer_core.spec.arrays import check_arrays
from segformer_core.spec.model import SegFormer
from segformer_core.weights.architecture import Architecture
from segformer_core.weights.containers import safetensors_file
from segformer_core.weights.containers.stored import raw_bytes

SUFFIX = ".safetensors"
FILE_FORMAT = "segformer_core 1"


def save_weights(path: Path, spec: SegFormer, arrays: Mapping[str, np.ndarray], **metadata: str) -> None:
    """Write all arrays of `spec`, atomically. Raises WeightsError for a wrong set of arrays, UserError if it cannot write."""
    check_arrays(spec, arrays, "the set of arrays to save")
    save_described(path, spec, arrays, metadata)


def save_described(path: Path, spec: SegFormer, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write any arrays, with the identity of `spec` and the arrays' hash in the metadata, atomically."""
    described = {"format": FILE_FORMAT, **spec.identity(), **metadata, "sha256": sha256(arrays)}
    atomic_write(path, lambda temporary: safetensors_file.write(temporary, arrays, "float32", described))


def sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names and bytes of all arrays, sorted by name, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(raw_bytes(np.ascontiguousarray(arrays[name])))
    return digest.hexdigest()


def description(architecture: Architecture, numerics: str) -> dict[str, str]:
    """The metadata that says what network a canonical file holds; an encoder has no class_num and no decoder_width."""
    identity = architecture.spec(numerics).identity()
    if architecture.class_count is None:
        del identity["class_num"], identity["decoder_width"]
    if architecture.variant == "custom":
        identity |= {"widths": str(list(architecture.widths)), "depths": str(list(architecture.depths))}
    return {"format": FILE_FORMAT, **identity}
