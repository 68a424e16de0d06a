"""safetensors files, alone or as the shards of an index."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from segformer_core.errors import WeightsError
from segformer_core.weights.containers.stored import BFLOAT16, STORED_TYPES, Content, Stored, encoded, raw_bytes

TYPES = {
    "F16": "float16",
    "BF16": BFLOAT16,
    "F32": "float32",
    "F64": "float64",
    "BOOL": "bool",
    **{f"{sign}{bits}": f"{name}{bits}" for sign, name in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)},
}
NAME_OF_TYPE = {type_name: name for name, type_name in TYPES.items()}
HEADER_LENGTH = ALIGNMENT = 8


def starts_like_one(first: bytes) -> bool:
    return first[HEADER_LENGTH : HEADER_LENGTH + 1] == b"{"


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tree = {name: _stored(file, name) for name in file.keys()}
            metadata = dict(file.metadata() or {})
            yield Content("safetensors", tree, metadata, (path,))
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged or not a safetensors file ({error}); fetch or write it again") from error


def write(path: Path, arrays: Mapping[str, np.ndarray], type_name: str, metadata: Mapping[str, str]) -> None:
    """Array by array: the library's writer would copy all of them first."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, array in arrays.items():
        kind = type_name if array.dtype.kind == "f" else array.dtype.name
        start, end = end, end + array.size * STORED_TYPES[kind].itemsize
        header[name] = {"dtype": NAME_OF_TYPE[kind], "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(HEADER_LENGTH, "little") + text)
        for array in arrays.values():
            file.write(raw_bytes(encoded(array, type_name)[0]))


def _stored(file: Any, name: str) -> Stored:
    piece = file.get_slice(name)
    kind = TYPES.get(piece.get_dtype(), piece.get_dtype())

    def load() -> np.ndarray:
        array = np.asarray(file.get_tensor(name))
        return array.astype(np.float32) if kind == BFLOAT16 else array

    return Stored(tuple(piece.get_shape()), kind, load)
