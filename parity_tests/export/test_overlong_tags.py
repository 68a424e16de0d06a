"""Tags that a runtime's reader of protobuf shortens to the number of a refused field."""

import pytest

from parity_tests.export.test_hostile_files import wrapped
from segformer_core.errors import WeightsError
from segformer_core.export.messages import MINDIR, ONNX, checked_bytes
from segformer_core.weights.containers.protobuf import VARINT, delimited, fields, varint


def disguised(number: int, *path: int, content: bytes = b"", bits: int = 2**32) -> bytes:
    """A field whose number has bits above those that a runtime reads."""
    raw = varint(number << 3 | 2 | bits) + varint(len(content)) + content
    return wrapped(*path, content=raw)


def padded(number: int, *path: int, content: bytes = b"") -> bytes:
    """A field whose tag has one byte more than it needs."""
    tag = bytearray(varint(number << 3 | 2))
    tag[-1] |= 0x80
    return wrapped(*path, content=bytes(tag) + b"\x00" + varint(len(content)) + content)


CASES = {
    "data of another file": (ONNX, disguised(13, 7, 5, content=b"x")),
    "data of another file, behind more bits": (ONNX, disguised(13, 7, 5, content=b"x", bits=2**60)),
    "data of another file, in a longer tag": (ONNX, padded(13, 7, 5, content=b"x")),
    "a domain of a stranger": (ONNX, disguised(7, 7, 1, content=b"com.example")),
    "a graph": (ONNX, disguised(7, content=wrapped(1, 7, content="com.example"))),
    "operators of its own": (ONNX, disguised(25, content=b"x")),
    "a Custom primitive": (MINDIR, disguised(2, 12, content=b"Custom")),
    "a Custom node": (MINDIR, disguised(4, 7, 1, content=b"Custom")),
    "the number 0": (MINDIR, wrapped(7, content=delimited(0, b"x"))),
}


@pytest.mark.parametrize("case", CASES)
def test_a_disguised_field_is_refused(case, tmp_path):
    messages, raw = CASES[case]
    path = tmp_path / "net"
    path.write_bytes(raw)
    with pytest.raises(WeightsError, match="is damaged, or no exported file"):
        checked_bytes(path, messages)


def test_sound_fields_are_read():
    """The largest number that protobuf allows, and -1, which takes ten bytes."""
    largest = 2**29 - 1
    raw = delimited(largest, b"x") + varint(1 << 3 | VARINT) + varint(2**64 - 1)
    assert [(number, value if isinstance(value, int) else bytes(value)) for number, value in fields(memoryview(raw))] == [
        (largest, b"x"),
        (1, 2**64 - 1),
    ]
