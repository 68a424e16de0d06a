"""The wire format of protobuf: messages of numbered fields, read and written without their schema."""

from collections.abc import Iterator

VARINT, EIGHT_BYTES, DELIMITED, FOUR_BYTES = 0, 1, 2, 5
FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
MOST_VARINT_BITS = 70
LARGEST_KEY = 2**32 - 1
"""Readers of protobuf drop the bits above, and would find another field than is checked here."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Each field's number and its value: an integer, or bytes. Raises ValueError or IndexError for what is not protobuf."""
    at = 0
    while at < len(message):
        start = at
        key, at = read_varint(message, start)
        number, wire = key >> 3, key & 7
        if not number or key > LARGEST_KEY or at - start != len(varint(key)):
            raise ValueError(f"not a protobuf message at byte {start}")
        if wire == VARINT:
            value, at = read_varint(message, at)
            yield number, value
            continue
        length, at = (FIXED[wire], at) if wire in FIXED else read_varint(message, at)
        if wire not in (*FIXED, DELIMITED) or at + length > len(message):
            raise ValueError(f"not a protobuf message at byte {at}")
        content = message[at : at + length]
        yield number, int.from_bytes(content, "little") if wire in FIXED else content
        at += length


def read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """The integer at a byte, and the byte after it. Raises ValueError, IndexError."""
    number = 0
    for shift in range(0, MOST_VARINT_BITS, 7):
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError(f"not a protobuf message at byte {at}")


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def header(field: int, length: int) -> bytes:
    """What precedes the bytes of a field."""
    return varint(field << 3 | DELIMITED) + varint(length)


def delimited(field: int, raw: bytes) -> bytes:
    return header(field, len(raw)) + raw
