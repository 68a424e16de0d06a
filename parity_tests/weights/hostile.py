"""Shared by the tests of hostile files: what a refusal may cost, and pickles written by hand."""

import io
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_SECONDS, MOST_BYTES = 10, 300_000_000
"""What reading any hostile file of this suite may take."""


@contextmanager
def bounded(seconds: float = MOST_SECONDS, most_bytes: int = MOST_BYTES) -> Iterator[None]:
    """Fails if what is done inside takes more time of the processor or more memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
        assert time.process_time() - start < seconds
        assert peak < most_bytes, f"{peak / 1e6:.0f} MB"
    finally:
        tracemalloc.stop()


def torch_zip(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    """A file that torch.save could have written, with this data.pkl."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in members.items():
            archive.writestr(f"archive/data/{name}", content)
    return path


def program(*instructions: bytes) -> bytes:
    """A pickle of these instructions."""
    return pickle.PROTO + b"\x04" + b"".join(instructions) + pickle.STOP


def text(value: str) -> bytes:
    raw = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(raw)) + raw


def remember(index: int) -> bytes:
    return pickle.LONG_BINPUT + struct.pack("<I", index)


def recall(index: int) -> bytes:
    return pickle.LONG_BINGET + struct.pack("<I", index)


def name(module: str, attribute: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()


def doubled(start: bytes, times: int) -> bytes:
    """A tuple that holds itself twice, `times` deep."""
    return start + b"".join(remember(level) + recall(level) + pickle.TUPLE2 for level in range(times))


def zeros_zip(path: Path, member: str, byte_count: int) -> Path:
    """A compressed archive whose one member is zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(member, "w", force_zip64=True) as file:
        block = bytes(2**20)
        for _ in range(byte_count // len(block)):
            file.write(block)
    return path


def torch_bytes(tree: object, **options: bool) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(tree, buffer, **options)
    return buffer.getvalue()
