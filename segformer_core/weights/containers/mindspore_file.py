"""MindSpore's .ckpt, read and written without MindSpore.

A protobuf message: Checkpoint {repeated Value value = 1}, Value {string tag = 1; TensorProto tensor = 2},
TensorProto {repeated int64 dims = 1; string tensor_type = 2; bytes tensor_content = 3}. A large array is cut into several
values of one tag; `crc_num` and ten bytes may follow the message.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from segformer_core.errors import WeightsError, brief
from segformer_core.weights.containers import protobuf
from segformer_core.weights.containers.stored import STORED_TYPES, Content, Stored, encoded, from_bytes, raw_bytes
from segformer_core.weights.containers.tree import printable

CHECKSUM_MARK, CHECKSUM_LENGTH = b"crc_num", 17
TYPES = {"BFloat16": "bfloat16", "UInt8": "uint8", "UInt16": "uint16", "UInt32": "uint32", "UInt64": "uint64"} | {
    name.capitalize(): name for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "bool")
}
TYPE_OF = {type_name: name for name, type_name in TYPES.items()}


UNREAD_TYPES = {
    "Complex64": "complex64",
    "Complex128": "complex128",
    "Float8E4M3FN": "float8_e4m3fn",
    "Float8E5M2": "float8_e5m2",
    "HiFloat8": "hifloat8",
    "Int4": "int4",
    "QInt4x2": "int4",
}
MOST_FIELDS = 500_000
"""In one file; a training run's of MiT-B5 has 30,000."""
MOST_AXES, LARGEST_AXIS = 64, 2**62

Piece = tuple[tuple[int, ...], str, memoryview]


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    raw = raw_bytes(np.memmap(path, np.uint8, "r"))
    if bytes(raw[-CHECKSUM_LENGTH:][: len(CHECKSUM_MARK)]) == CHECKSUM_MARK:
        raw = raw[:-CHECKSUM_LENGTH]
    try:
        slices: dict[str, list[Piece]] = {}
        checkpoint, left = _fields(raw, MOST_FIELDS)
        for value in checkpoint.get(1, []):
            if isinstance(value, memoryview):
                message, left = _fields(value, left)
                tensor, left = _fields(_only(message, 2), left)
                tag = printable(bytes(_only(message, 1)).decode())
                piece = tuple(_dims(tensor.get(1, []))), bytes(_only(tensor, 2)).decode(), _only(tensor, 3)
                slices.setdefault(tag, []).append(piece)
        tree = {tag: _stored(tag, pieces) for tag, pieces in slices.items()}
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"{path} is damaged, encrypted, or of no known kind ({error}); if it is encrypted, decrypt it where it was made"
        ) from error
    yield Content("MindSpore", tree, {}, (path,))


def write(path: Path, arrays: Mapping[str, np.ndarray], type_name: str) -> None:
    """Write one value for each array, as mindspore.save_checkpoint does."""
    with path.open("wb") as file:
        for name, array in arrays.items():
            values, written = encoded(array, type_name)
            dims = b"".join(protobuf.varint(1 << 3 | protobuf.VARINT) + protobuf.varint(length) for length in values.shape)
            content = protobuf.header(3, values.nbytes)
            tensor = dims + protobuf.delimited(2, TYPE_OF[written].encode()) + content
            tag = protobuf.delimited(1, name.encode())
            tensor_length = len(tensor) + values.nbytes
            tensor_header = protobuf.header(2, tensor_length)
            file.write(protobuf.header(1, len(tag) + len(tensor_header) + tensor_length) + tag + tensor_header + tensor)
            file.write(raw_bytes(values))


def _stored(tag: str, pieces: list[Piece]) -> object:
    dims, kind, _ = pieces[0]
    if kind in UNREAD_TYPES:
        return Stored.unread(dims, UNREAD_TYPES[kind])
    if kind not in TYPES:
        return printable(kind)  # a text that a training run stored
    type_name, byte_count = TYPES[kind], sum(len(content) for _, _, content in pieces)
    shape = () if dims == (0,) and byte_count else dims  # MindSpore writes (0,) for some scalars
    if byte_count != math.prod(shape) * STORED_TYPES[type_name].itemsize:
        raise ValueError(f"{tag} of shape {brief(shape)} and type {kind} holds {byte_count} bytes")

    def load() -> np.ndarray:
        content = pieces[0][2] if len(pieces) == 1 else b"".join(content for _, _, content in pieces)
        return from_bytes(content, type_name, shape)

    return Stored(shape, type_name, load)


Fields = dict[int, list[int | memoryview]]


def _fields(message: memoryview, left: int) -> tuple[Fields, int]:
    """The fields of a message by number, and how many more may come. Raises ValueError for what is not a protobuf message."""
    fields: Fields = {}
    for number, value in protobuf.fields(message):
        fields.setdefault(number, []).append(value)
        left -= 1
        if left < 0:
            raise ValueError(f"more than {MOST_FIELDS} fields")
    return fields, left


def _only(fields: Fields, number: int) -> memoryview:
    values = [value for value in fields.get(number, []) if isinstance(value, memoryview)]
    if len(values) != 1:
        raise ValueError(f"field {number} occurs {len(values)} times; expected once")
    return values[0]


def _dims(values: list[int | memoryview]) -> list[int]:
    dims: list[int] = []
    for value in values:
        at = 0
        if isinstance(value, int):
            dims.append(value)
        while isinstance(value, memoryview) and at < len(value) and len(dims) <= MOST_AXES:  # packed
            dim, at = protobuf.read_varint(value, at)
            dims.append(dim)
    if len(dims) > MOST_AXES or any(dim > LARGEST_AXIS for dim in dims):
        raise ValueError(f"an array of shape {brief(dims)}")
    return dims
