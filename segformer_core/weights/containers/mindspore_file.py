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

from segformer_core.errors import WeightsError
from segformer_core.weights.containers.stored import STORED_TYPES, Content, Stored, encoded, from_bytes, raw_bytes

VARINT, LENGTH_DELIMITED = 0, 2
CHECKSUM_MARK, CHECKSUM_LENGTH = b"crc_num", 17
TYPES = {"BFloat16": "bfloat16", "UInt8": "uint8", "UInt16": "uint16", "UInt32": "uint32", "UInt64": "uint64"} | {
    name.capitalize(): name for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "bool")
}
TYPE_OF = {type_name: name for name, type_name in TYPES.items()}


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    raw = raw_bytes(np.memmap(path, np.uint8, "r"))
    if bytes(raw[-CHECKSUM_LENGTH:][: len(CHECKSUM_MARK)]) == CHECKSUM_MARK:
        raw = raw[:-CHECKSUM_LENGTH]
    try:
        slices: dict[str, list[tuple[tuple[int, ...], str, memoryview]]] = {}
        for value in _fields(raw, 1):
            tag, tensor = bytes(_only(value, 1)).decode(), _only(value, 2)
            dims = tuple(_dims(tensor))
            slices.setdefault(tag, []).append((dims, bytes(_only(tensor, 2)).decode(), _only(tensor, 3)))
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
            dims = b"".join(_varint(1 << 3 | VARINT) + _varint(length) for length in values.shape)
            content = _header(3, values.nbytes)
            tensor = dims + _delimited(2, TYPE_OF[written].encode()) + content
            tag = _delimited(1, name.encode())
            tensor_length = len(tensor) + values.nbytes
            tensor_header = _header(2, tensor_length)
            file.write(_header(1, len(tag) + len(tensor_header) + tensor_length) + tag + tensor_header + tensor)
            file.write(raw_bytes(values))


def _stored(tag: str, pieces: list[tuple[tuple[int, ...], str, memoryview]]) -> object:
    dims, kind, _ = pieces[0]
    if kind not in TYPES:
        return kind  # a text that a training run stored
    type_name, byte_count = TYPES[kind], sum(len(content) for _, _, content in pieces)
    shape = () if dims == (0,) and byte_count else dims  # MindSpore writes (0,) for some scalars
    if byte_count != math.prod(shape) * STORED_TYPES[type_name].itemsize:
        raise ValueError(f"{tag} of shape {shape} and type {kind} holds {byte_count} bytes")

    def load() -> np.ndarray:
        content = pieces[0][2] if len(pieces) == 1 else b"".join(content for _, _, content in pieces)
        return from_bytes(content, type_name, shape)

    return Stored(shape, type_name, load)


def _fields(message: memoryview, number: int) -> Iterator[memoryview]:
    """The length-delimited fields of this number. Raises ValueError for what is not a protobuf message."""
    for field, value in _walk(message):
        if field == number and isinstance(value, memoryview):
            yield value


def _only(message: memoryview, number: int) -> memoryview:
    values = list(_fields(message, number))
    if len(values) != 1:
        raise ValueError(f"field {number} occurs {len(values)} times; expected once")
    return values[0]


def _dims(tensor: memoryview) -> Iterator[int]:
    for number, value in _walk(tensor):
        if number == 1 and isinstance(value, int):
            yield value
        elif number == 1 and isinstance(value, memoryview):  # packed
            at = 0
            while at < len(value):
                dim, at = _read_varint(value, at)
                yield dim


def _walk(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, wire = key >> 3, key & 7
        value, at = _read_varint(message, at)
        if wire == VARINT:
            yield number, value
        elif wire == LENGTH_DELIMITED and at + value <= len(message):
            yield number, message[at : at + value]
            at += value
        else:
            raise ValueError(f"not a MindSpore checkpoint at byte {at}")


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 64, 7):
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError(f"not a MindSpore checkpoint at byte {at}")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _header(field: int, length: int) -> bytes:
    return _varint(field << 3 | LENGTH_DELIMITED) + _varint(length)


def _delimited(field: int, raw: bytes) -> bytes:
    return _header(field, len(raw)) + raw
