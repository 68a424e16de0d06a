"""Images and labels with random damage: the outcome is an array, or one sentence. Never a traceback, a crash or a hang."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from parity_tests.training_runs import FULL
from segformer_core.data.cityscapes import CLASSES
from segformer_core.data.dataset import read_label
from segformer_core.data.image_bytes import PNG, is_complete, png_chunks, sound_png_size
from segformer_core.data.image_file import read_image
from segformer_core.errors import DataError

MUTATIONS = 4000 if FULL else 150
"""Of each kind of file."""

SECONDS = 20
"""The longest that one file may take. A header may declare up to 2**30 pixels, whose memory takes its time."""

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 28, 3)).astype(np.uint8))
LABELS = Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30) % 19)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned_sideways() -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


KINDS = {
    "png": encoded(PICTURE, "PNG", exif=turned_sideways()),
    "png palette": encoded(PICTURE.convert("P"), "PNG"),
    "png label": encoded(LABELS, "PNG"),
    "jpeg": encoded(PICTURE, "JPEG", exif=turned_sideways()),
    "jpeg progressive": encoded(PICTURE, "JPEG", progressive=True),
    "tiff": encoded(PICTURE, "TIFF"),
    "tiff lzw": encoded(PICTURE, "TIFF", compression="tiff_lzw"),
    "tiff deflate": encoded(LABELS, "TIFF", compression="tiff_adobe_deflate"),
    "tiff palette": encoded(PICTURE.convert("P"), "TIFF"),
    "tiff bits": encoded(LABELS.convert("1"), "TIFF", compression="group4"),
    "bmp": encoded(PICTURE, "BMP"),
    "bmp label": encoded(LABELS, "BMP"),
    "webp": encoded(PICTURE, "WEBP", exif=turned_sideways()),
    "webp lossless": encoded(PICTURE, "WEBP", lossless=True),
}


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four pieces of damage; half of them in the first 64 bytes, where the headers are."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, max(min(len(changed), 64) if rng.random() < 0.5 else len(changed), 1)))
        size = int(rng.integers(1, 9))
        match rng.integers(0, 6):
            case 0:
                changed[at : at + 1] = bytes([(changed[at] if at < len(changed) else 0) ^ (1 << int(rng.integers(8)))])
            case 1:
                changed[at : at + size] = rng.bytes(size)
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = rng.bytes(size)
            case 4:
                changed[at : at + size] = bytes([int(rng.choice([0, 1, 127, 255]))]) * size
            case 5:
                del changed[max(at, 8) :]
    return bytes(changed)


def resealed(data: bytes) -> bytes:
    """A PNG whose chunks have the right check sums, so that the decoder looks at what they hold."""
    if not data.startswith(PNG):
        return data
    sealed = bytearray(data)
    for _, start, end in png_chunks(data):
        sealed[end : end + 4] = struct.pack(">I", zlib.crc32(sealed[start - 4 : end]))
    return bytes(sealed)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_ends_in_an_array_or_in_a_sentence(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng([ord(letter) for letter in kind])
    path = tmp_path / "damaged"
    arrays = refusals = 0
    for number in range(MUTATIONS):
        data = mutated(KINDS[kind], rng)
        path.write_bytes(resealed(data) if number % 2 else data)
        since = time.monotonic()
        for read in (read_image, lambda path: read_label(path, CLASSES)):
            try:
                array = read(path)
                assert array.dtype == np.uint8 and array.size > 0 and (array.ndim == 2 or array.shape[2] == 3), number
                arrays += 1
            except DataError as error:
                assert str(error).startswith((str(path), f"cannot read {path}")) and "\n" not in str(error), number
                refusals += 1
        assert isinstance(is_complete(data), bool)
        sound_png_size(data)
        assert time.monotonic() - since < SECONDS, number
    assert refusals > MUTATIONS // 4 and arrays + refusals == 2 * MUTATIONS
    print(f"{kind}: {MUTATIONS} mutations, {arrays} arrays, {refusals} refusals")


def test_the_undamaged_files_are_read(tmp_path: Path) -> None:
    """The control of the test above."""
    for kind, data in KINDS.items():
        (tmp_path / kind).write_bytes(data)
        assert read_image(tmp_path / kind).shape[2] == 3
    assert np.array_equal(read_label(tmp_path / "png label", CLASSES), np.array(LABELS))
