"""What an image file's bytes say before they are decoded; and decoders that stay quiet."""

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from parity_tests import ROOT
from segformer_core.data.cityscapes import CLASSES
from segformer_core.data.dataset import read_label
from segformer_core.data.image_bytes import is_complete
from segformer_core.data.image_file import read_image
from segformer_core.data.quiet import STREAM, quiet_decoders
from segformer_core.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)


def encoded(pixels: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


FILM = b"ftypmp42" + b"\xff\xda\x00\x01" * 40
"""What phones append to a JPEG: bytes that look like the beginning of a scan, and no end mark after them."""


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("after", [b"\n", b"appended by a chat program " * 500, FILM], ids=["newline", "text", "film"])
def test_bytes_after_the_end_change_nothing(tmp_path: Path, kind: str, after: bytes) -> None:
    data = encoded(PIXELS, kind)
    (tmp_path / "whole").write_bytes(data)
    (tmp_path / "longer").write_bytes(data + after)
    assert np.array_equal(read_image(tmp_path / "longer"), read_image(tmp_path / "whole"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_every_beginning_of_an_image_is_incomplete(kind: str) -> None:
    data = encoded(PIXELS, kind)
    assert is_complete(data)
    assert [size for size in range(12, len(data)) if is_complete(data[:size])] == []


def test_the_end_mark_of_a_png_inside_its_text_is_no_end() -> None:
    text = b"IEND\xaeB`\x82"
    chunk = struct.pack(">I", len(text)) + b"tEXt" + text + struct.pack(">I", zlib.crc32(b"tEXt" + text))
    data = encoded(PIXELS, "PNG")
    assert not is_complete(data[:33] + chunk + data[33:-30])


def tiff(pixels: np.ndarray, kind: int = 1, separate: bool = False, order: str = "<") -> bytes:
    """(H, W, C) -> an uncompressed TIFF; `kind` is its sample format."""
    height, width, channels = pixels.shape
    stored = np.ascontiguousarray(pixels.transpose(2, 0, 1) if separate else pixels)
    data = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    strips = channels if separate else 1
    at = 8 + 2 + 12 * 11 + 4
    tables: list[bytes] = []

    def entry(tag: int, letter: str, values: list[int]) -> bytes:
        """Values of more than four bytes stand behind the directory."""
        packed = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(packed) > 4:
            tables.append(packed)
            packed = struct.pack(f"{order}I", at + sum(map(len, tables[:-1])))
        return struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[letter], len(values)) + packed.ljust(4, b"\0")

    pixels_at = at + 8 * channels + (8 * strips if separate else 0) + 16
    sizes = [len(data) // strips] * strips
    offsets = [pixels_at + index * sizes[0] for index in range(strips)]
    directory = [
        entry(256, "I", [width]),
        entry(257, "I", [height]),
        entry(258, "H", [pixels.dtype.itemsize * 8] * channels),
        entry(259, "H", [1]),
        entry(262, "H", [2 if channels > 2 else 1]),
        entry(273, "I", offsets),
        entry(277, "H", [channels]),
        entry(278, "I", [height]),
        entry(279, "I", sizes),
        entry(284, "H", [2 if separate else 1]),
        entry(339, "H", [kind] * channels),
    ]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8) + struct.pack(f"{order}H", len(directory))
    return (head + b"".join(directory) + bytes(4) + b"".join(tables)).ljust(pixels_at, b"\0") + data


def bands(count: int, dtype: type) -> np.ndarray:
    return (np.arange(6 * 7 * count).reshape(6, 7, count) % 100).astype(dtype)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("count", "dtype", "kind", "of_a_label", "of_an_image"),
    [
        (5, np.uint8, 1, "has 5 channels; expected 1, 3 or 4: convert it", "has 5 channels; expected 3, as in_channels says"),
        (8, np.uint16, 1, "has 8 channels; expected 1, 3 or 4: convert it", "has 8 channels; expected 3, as in_channels says"),
        (1, np.float32, 3, "holds float32 values; expected 8 or 16 bits", "holds float32 values, here from 0 to 41: say which"),
        (4, np.float64, 3, "holds float64 values; expected", "has 4 channels; expected 3"),
        (5, np.float32, 3, "holds float32 values; expected", "has 5 channels; expected 3"),
        (1, np.int16, 2, "holds int16 values; expected", "holds int16 values, here from 0 to 41: say which"),
        (1, np.int8, 2, "holds int8 values; expected", "holds int8 values, here from 0 to 41: say which"),
        (3, np.int32, 2, "holds int32 values; expected", "holds int32 values, here from 0 to 99: say which"),
        (1, np.uint32, 1, "holds uint32 values; expected", "holds uint32 values, here from 0 to 41: say which"),
    ],
)
def test_a_tiff_that_is_no_picture_is_told_what_it_holds(
    tmp_path: Path, order: str, count: int, dtype: type, kind: int, of_a_label: str, of_an_image: str
) -> None:
    path = tmp_path / "bands.tif"
    path.write_bytes(tiff(bands(count, dtype), kind, order=order))
    with pytest.raises(DataError, match=rf"bands\.tif {of_a_label}"):
        read_label(path, CLASSES)
    with pytest.raises(DataError, match=rf"bands\.tif {of_an_image}"):
        read_image(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_second_of_two_channels_is_alpha(tmp_path: Path, order: str) -> None:
    path = tmp_path / "gray.tif"
    path.write_bytes(tiff(bands(2, np.uint8), order=order))
    assert np.array_equal(read_image(path), np.repeat(bands(2, np.uint8)[..., :1], 3, axis=2))
    path.write_bytes(tiff(bands(2, np.uint16) * 300, order=order))
    assert np.abs(read_image(path)[..., 0].astype(int) - (bands(2, np.uint16)[..., 0].astype(int) * 300 >> 8)).max() <= 1
    path.write_bytes(tiff(bands(2, np.uint8), separate=True, order=order))
    with pytest.raises(DataError, match=r"gray\.tif has 2 channels; expected 3, as in_channels says: convert it"):
        read_image(path)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_of_a_label_with_a_palette_the_indices_count(tmp_path: Path, bits: int) -> None:
    labels = np.arange(64, dtype=np.uint8).reshape(8, 8) % min(2**bits, len(CLASSES))
    image = Image.fromarray(labels, "P")
    image.putpalette(CLASSES.palette()[: 2**bits].ravel().tolist())
    image.save(tmp_path / "label.png", bits=bits, transparency=0)
    assert (tmp_path / "label.png").read_bytes()[24:26] == bytes([bits, 3]), "the test's own file has a palette"
    assert np.array_equal(read_label(tmp_path / "label.png", CLASSES), labels)


@pytest.mark.parametrize(
    ("pixels", "kind", "mode", "message"),
    [
        (PIXELS[..., 0], "JPEG", None, "is a JPEG, whose compression changes labels; save the labels anew, as PNG"),
        (PIXELS, "PNG", "RGBA", r"has the colour \[.*\] at row 0, column 0, and no class has a colour"),
        (PIXELS[..., 0].astype(np.uint16) + 300, "PNG", None, r"has label \d+ at row .*; expected a class index 0..18"),
    ],
)
def test_what_is_no_label_image_is_refused(tmp_path: Path, pixels: np.ndarray, kind: str, mode: str | None, message: str) -> None:
    (tmp_path / "label.png").write_bytes(encoded(pixels, kind, mode))
    with pytest.raises(DataError, match=rf"label\.png {message}"):
        read_label(tmp_path / "label.png", CLASSES)


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that declares side × side pixels."""
    data = bytearray(encoded(PIXELS, "PNG"))
    struct.pack_into(">II", data, 16, side, side)
    struct.pack_into(">I", data, 29, zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@pytest.mark.parametrize("side", [33_000, 60_000, 900_000])
def test_more_than_two_to_the_thirty_pixels_are_refused(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(bomb(side))
    with pytest.raises(DataError, match=r"bomb\.png is too large; expected at most 1,073,741,824 pixels, .*: cut it into parts"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("code", "text", "message"),
    [
        (cv2.Error.StsNoMem, "Failed to allocate 3221225472 bytes", "needs more memory than there is; cut it into parts"),
        (cv2.Error.StsError, "first line\n> second line", "cannot be decoded: first line; replace it"),
        (cv2.Error.StsError, "", "cannot be decoded: the whole; replace it"),
    ],
)
def test_what_opencv_throws_becomes_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, text: str, message: str
) -> None:
    def throw(*_: object) -> None:
        error = cv2.error("the whole")
        error.code, error.err = code, text
        raise error

    (tmp_path / "image.png").write_bytes(encoded(PIXELS, "PNG"))
    monkeypatch.setattr(cv2, "imdecode", throw)
    with pytest.raises(DataError) as raised:
        read_image(tmp_path / "image.png")
    assert str(raised.value) == f"{tmp_path}/image.png {message}"


@pytest.mark.parametrize("read", [read_image, lambda path: read_label(path, CLASSES)])
def test_a_pipe_is_never_opened(tmp_path: Path, read) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png is a named pipe; expected a file"):
        read(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="/dev/zero is a device; expected a file"):
        read(Path("/dev/zero"))


def test_a_link_that_leads_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(DataError, match=r"cannot read .*loop\.png: Too many levels of symbolic links"):
        read_image(tmp_path / "loop.png")


def spoilt_jpeg() -> bytes:
    data = bytearray(encoded(PIXELS, "JPEG"))
    data[-40:-38] = b"\xff\xd3"
    return bytes(data)


CHATTER = {
    "colour profile": encoded(PIXELS, "PNG", icc_profile=b"no profile " * 20),
    "spoilt jpeg": spoilt_jpeg(),
    "half a bmp": encoded(PIXELS, "BMP")[:900],
    "bad check sum": encoded(PIXELS, "PNG").replace(b"IDAT", b"IDaT"),
}


def test_decoders_print_nothing(tmp_path: Path) -> None:
    """In a process of its own, whose standard error shows what the C libraries write. The first form is the control."""
    for name, data in CHATTER.items():
        (tmp_path / name).write_bytes(data)
    program = """
import sys
from pathlib import Path
import cv2
from segformer_core.data.image_file import read_image
from segformer_core.errors import DataError
for path in sorted(Path(sys.argv[1]).iterdir()):
    if sys.argv[2] == "bare":
        cv2.imread(str(path))
        continue
    try:
        read_image(path)
    except DataError:
        pass
print("still here", file=sys.stderr, flush=True)
"""

    def said(how: str) -> str:
        words = [sys.executable, "-c", program, str(tmp_path), how]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stderr

    bare = said("bare")
    assert "iCCP" in bare and "JPEG" in bare and "still here" in bare
    assert said("ours") == "still here\n"


def test_the_last_thread_that_decodes_turns_the_stream_back() -> None:
    level = cv2.getLogLevel()
    inside, go_on = threading.Event(), threading.Event()

    def decode() -> None:
        with quiet_decoders():
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=decode)
    thread.start()
    assert inside.wait(10)
    with quiet_decoders():
        assert STREAM.inside == 2
    assert cv2.getLogLevel() == 0, "another thread still decodes"
    go_on.set()
    thread.join()
    assert STREAM.inside == 0 and cv2.getLogLevel() == level
    if STREAM.pointer is not None:
        assert STREAM.pointer.value == STREAM.usual != STREAM.nowhere


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system starts no process by fork")
def test_a_forked_process_decodes_although_a_thread_was_inside() -> None:
    with quiet_decoders():
        child = os.fork()
        if child == 0:
            os._exit(0 if STREAM.inside == 0 and not STREAM.lock.locked() else 1)
        assert os.waitpid(child, 0)[1] == 0
