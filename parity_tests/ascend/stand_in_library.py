"""A shared library for Linux on x86-64 whose functions do nothing, in place of one that this machine lacks. It needs no compiler.

An ELF file as small as the loader takes it: a page of names and code, a page that may be written. Each function returns the
address of `ROOM` bytes of zeros.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

PAGE, ROOM = 1 << 16, 1 << 16
"""Bytes."""

ZEROS = "stand_in_zeros"
"""The name under which the library shows its zeros."""

HEADER, SEGMENT, SYMBOL, ENTRY = "<16sHHIQQQIHHHHHH", "<IIQQQQQQ", "<IBBHQQ", "<qQ"
LOAD, DYNAMIC, STACK = 1, 2, 0x6474E551
READ, WRITE, EXECUTE = 4, 2, 1
FUNCTION, OBJECT, GLOBAL = 2, 1, 1 << 4
HASH, STRINGS, SYMBOLS, STRINGS_SIZE, SYMBOL_SIZE, SONAME = 4, 5, 6, 10, 11, 14
X86_64 = 62
LENGTH = 8
"""Bytes of a function's code."""


def returns_address(distance: int) -> bytes:
    """lea rax, [rip + …]; ret: a function that returns the address at this distance from its own."""
    return b"\x48\x8d\x05" + struct.pack("<i", distance - 7) + b"\xc3"


def write_library(path: Path, functions: Sequence[str]) -> None:
    """Write `path`, whose name other libraries ask for, with these functions."""
    names = [path.name, ZEROS, *functions]
    starts = [1]
    for name in names:
        starts.append(starts[-1] + len(name.encode()) + 1)
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    count = len(names)  # the first symbol is none, the first name is the library's
    symbols_at = struct.calcsize(HEADER) + 4 * struct.calcsize(SEGMENT)
    hash_at = symbols_at + count * struct.calcsize(SYMBOL)
    chain = [*range(2, count), 0]  # one bucket: the symbols, one after the other
    table = struct.pack(f"<{4 + len(chain)}I", 1, count, 1, 0, *chain)
    strings_at = hash_at + len(table)
    code_at = -(-(strings_at + len(strings)) // 16) * 16
    writable = -(-(code_at + LENGTH) // PAGE) * PAGE
    entries = {
        HASH: hash_at,
        STRINGS: strings_at,
        SYMBOLS: symbols_at,
        STRINGS_SIZE: len(strings),
        SYMBOL_SIZE: struct.calcsize(SYMBOL),
        SONAME: starts[0],
    }
    dynamic = b"".join(struct.pack(ENTRY, *entry) for entry in (*entries.items(), (0, 0)))
    zeros_at = writable + len(dynamic)
    symbols = struct.pack(SYMBOL, 0, 0, 0, 0, 0, 0) + struct.pack(SYMBOL, starts[1], GLOBAL | OBJECT, 0, 2, zeros_at, ROOM)
    symbols += b"".join(struct.pack(SYMBOL, start, GLOBAL | FUNCTION, 0, 1, code_at, LENGTH) for start in starts[2:-1])
    header = struct.pack(
        HEADER, b"\x7fELF\x02\x01\x01", 3, X86_64, 1, 0, struct.calcsize(HEADER), 0, 0, 64, struct.calcsize(SEGMENT), 4, 64, 0, 0
    )
    segments = b"".join(
        struct.pack(SEGMENT, kind, rights, start, start, start, size, in_memory, PAGE)
        for kind, rights, start, size, in_memory in (
            (LOAD, READ | EXECUTE, 0, code_at + LENGTH, code_at + LENGTH),
            (LOAD, READ | WRITE, writable, len(dynamic), len(dynamic) + ROOM),
            (DYNAMIC, READ | WRITE, writable, len(dynamic), len(dynamic)),
            (STACK, READ | WRITE, 0, 0, 0),
        )
    )
    text = (header + segments + symbols + table + strings).ljust(code_at, b"\0") + returns_address(zeros_at - code_at)
    path.write_bytes(text.ljust(writable, b"\0") + dynamic)
