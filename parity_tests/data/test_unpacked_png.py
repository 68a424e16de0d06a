"""PNGs of every kind, unpacked: the same rows, not compressed and not filtered, for every program that reads them."""

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from parity_tests.data.label_files import pillow
from segformer_core.data.image_bytes import png_chunks, png_of
from segformer_core.data.unpacked_png import PART, check_same_pixels, unpacked, unpacked_size
from segformer_core.errors import DataError

HERE = Path("x.png")
KINDS = {
    "gray": (0, 1, (1, 2, 4, 8, 16)),
    "RGB": (2, 3, (8, 16)),
    "palette": (3, 1, (1, 2, 4, 8)),
    "gray and alpha": (4, 2, (8, 16)),
    "RGBA": (6, 4, (8, 16)),
}
"""Kind -> its number, its channels, and the bits of a channel that PNG allows."""
CASES = [(kind, bits) for kind, (_, _, depths) in KINDS.items() for bits in depths]


def filtered(rows: np.ndarray, pixel: int) -> bytes:
    """PNG's five filters by turns, written after its specification, on (H, row) bytes."""
    lines = []
    above = np.zeros(rows.shape[1], int)
    for number, row in enumerate(rows.astype(int)):
        left, corner = (np.concatenate([np.zeros(pixel, int), each])[: len(row)] for each in (row, above))
        estimate = left + above - corner
        distances = np.abs(np.stack([estimate - left, estimate - above, estimate - corner]))
        paeth = np.choose(distances.argmin(0), [left, above, corner])
        guesses = [np.zeros_like(row), left, above, (left + above) // 2, paeth]
        kind = number % len(guesses)
        lines.append(bytes([kind]) + ((row - guesses[kind]) % 256).astype(np.uint8).tobytes())
        above = row
    return b"".join(lines)


def made(kind: str, bits: int, size: tuple[int, int] = (13, 11)) -> tuple[bytes, np.ndarray]:
    """A PNG with noise in filtered rows, in several parts, with a palette and what else a PNG may say; and its rows' bytes."""
    number, channels, _ = KINDS[kind]
    height, width = size
    row = (width * channels * bits + 7) // 8
    rows = np.random.default_rng(bits).integers(0, 256, (height, row), np.uint8)
    if width * channels * bits % 8:
        rows[:, -1] &= 256 - 2 ** (8 - width * channels * bits % 8)
    compressed = zlib.compress(filtered(rows, max(channels * bits // 8, 1)))
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, number, 0, 0, 0])
    palette = [(b"PLTE", bytes(range(256)) * 3), (b"tRNS", bytes(range(255, 127, -1)))] if kind == "palette" else []
    if palette:
        palette = [(name, content[: 2**bits * (3 if name == b"PLTE" else 1)]) for name, content in palette]
    parts = [(b"IDAT", compressed[at : at + 50]) for at in range(0, len(compressed), 50)]
    before, behind = [(b"gAMA", (45455).to_bytes(4, "big")), *palette], [(b"tEXt", b"Comment\0made up"), (b"IEND", b"")]
    return png_of([(b"IHDR", header), *before, *parts, *behind]), rows


def content(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, data[start:end]) for name, start, end in png_chunks(data)]


@pytest.mark.parametrize(("kind", "bits"), CASES)
def test_the_rows_are_the_same_without_a_filter_and_all_else_stays(kind, bits):
    data, rows = made(kind, bits)
    result = unpacked(data, HERE)
    assert result is not None and unpacked(result, HERE) == result
    parts = b"".join(part for name, part in content(result) if name == b"IDAT")
    assert zlib.decompress(parts) == b"".join(b"\0" + row.tobytes() for row in rows)
    assert rows[0].tobytes() in parts, "nothing is compressed"
    assert [entry for entry in content(result) if entry[0] != b"IDAT"] == [
        entry for entry in content(data) if entry[0] != b"IDAT"
    ]
    check_same_pixels(data, result, HERE)
    one, other = (Image.open(io.BytesIO(each)) for each in (data, result))
    assert one.mode == other.mode and one.tobytes() == other.tobytes(), "another program reads the same"
    assert one.getpalette() == other.getpalette() and one.info.get("transparency") == other.info.get("transparency")


@pytest.mark.parametrize(("kind", "bits"), CASES)
def test_the_size_is_known_from_the_first_bytes(kind, bits):
    data, _ = made(kind, bits, (301, 403))
    result = unpacked(data, HERE)
    size = unpacked_size(data[:29])
    assert result is not None and size is not None and len(result) <= size <= len(result) + 1000 + len(result) // 500


def test_a_large_image_has_its_rows_in_parts():
    data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (700, 800, 3), np.uint8))[1].tobytes()
    parts = [len(part) for name, part in content(unpacked(data, HERE) or b"") if name == b"IDAT"]
    assert parts[0] == PART and len(parts) == 2


def test_what_stays_as_it_is():
    image = Image.fromarray(np.zeros((8, 9), np.uint8))
    film = pillow(image, "PNG", save_all=True, append_images=[Image.fromarray(np.ones((8, 9), np.uint8))])
    interlaced = png_of([(name, part[:12] + b"\1" if name == b"IHDR" else part) for name, part in content(pillow(image, "PNG"))])
    kinds = {"JPEG": pillow(image, "JPEG"), "interlaced": interlaced, "film": film, "text": b"classes: [a]", "nothing": b""}
    assert {name: unpacked(data, HERE) for name, data in kinds.items()} == dict.fromkeys(kinds)
    assert {name: unpacked_size(data) for name, data in kinds.items() if name != "film"} == dict.fromkeys(kinds.keys() - {"film"})


@pytest.mark.parametrize(
    "place", [16, 19, 20, 23, 24, 25], ids=["width", "width's end", "height", "height's end", "bits", "kind"]
)
@pytest.mark.parametrize("value", [0, 3, 5, 7, 17, 32, 255])
@pytest.mark.parametrize(("kind", "bits"), [("gray", 8), ("gray and alpha", 16)])
def test_a_header_that_no_png_has_is_refused_or_left(kind, bits, value, place):
    data, _ = made(kind, bits)
    damaged = data[:place] + bytes([value]) + data[place + 1 :]
    assert (unpacked_size(damaged[:29]) or 0) < 2**34, "no disk is asked for the room of an image that nobody can read"
    try:
        result = unpacked(damaged, HERE)
        assert result is None or check_same_pixels(damaged, result, HERE) is None
    except DataError as error:
        assert "x.png" in str(error)


def with_rows(data: bytes, rows: np.ndarray) -> bytes:
    """An unpacked PNG of one part with other rows."""
    part = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows), 0)
    return png_of([(name, part if name == b"IDAT" else old) for name, old in content(data)])


@pytest.mark.parametrize("same_colours", [False, True])
@pytest.mark.parametrize("kind", ["gray", "palette"])
def test_other_pixels_are_noticed(kind, same_colours):
    """Of a palette the indices as well, since labels count by them: it may hold a colour twice."""
    data, rows = made(kind, 8)
    if same_colours:
        data = png_of([(name, bytes(len(part)) if name in (b"PLTE", b"tRNS") else part) for name, part in content(data)])
    result = unpacked(data, HERE) or b""
    assert with_rows(result, rows) == result
    rows[5, 5] ^= 1
    with pytest.raises(DataError, match=r"x\.png gave other pixels when its copy was read back; replace it if it is damaged"):
        check_same_pixels(data, with_rows(result, rows), HERE)
