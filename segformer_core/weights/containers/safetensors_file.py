"""safetensors files, alone or as the shards of an index."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from segformer_core.errors import WeightsError
from segformer_core.weights.containers.limits import LONGEST_TEXT
from segformer_core.weights.containers.stored import BFLOAT16, STORED_TYPES, Content, Stored, encoded, raw_bytes
from segformer_core.weights.containers.tree import printable, tree_of

TYPES = {
    "F16": "float16",
    "BF16": BFLOAT16,
    "F32": "float32",
    "F64": "float64",
    "BOOL": "bool",
    **{f"{sign}{bits}": f"{name}{bits}" for sign, name in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)},
}
UNREAD_TYPES = {
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "F6_E2M3": "float6_e2m3fn",
    "F6_E3M2": "float6_e3m2fn",
    "F4": "float4_e2m1fn",
}
NAME_OF_TYPE = {type_name: name for name, type_name in TYPES.items()}
HEADER_LENGTH = ALIGNMENT = 8


def starts_like_one(first: bytes) -> bool:
    return first[HEADER_LENGTH : HEADER_LENGTH + 1] == b"{"


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(HEADER_LENGTH), "little")
    try:
        if length > LONGEST_TEXT:
            raise ValueError(f"its header states {length} bytes")
        with safetensors.safe_open(path, framework="numpy") as file:
            tree = {name: _stored(file, name) for name in file.keys()}
            metadata = dict(file.metadata() or {})
            yield Content("safetensors", tree_of(tree), metadata, (path,))
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        why = printable(str(error))
        raise WeightsError(f"{path} is damaged or not a safetensors file ({why}); fetch or write it again") from error


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
    kind, shape = str(piece.get_dtype()), tuple(piece.get_shape())
    kind = TYPES.get(kind) or UNREAD_TYPES.get(kind, kind)

    def load() -> np.ndarray:
        array = np.asarray(file.get_tensor(name))
        return array.astype(np.float32) if kind == BFLOAT16 else array

    return Stored(shape, kind, load) if kind in STORED_TYPES else Stored.unread(shape, kind)
