"""Image files of every kind, as a camera, a scanner or a broken download leaves them."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from segformer_core.data.cityscapes import CLASSES
from segformer_core.data.dataset import Item, read_pair
from segformer_core.data.image_file import read_image
from segformer_core.errors import DataError

ORIENTATION = 0x112
BLOCKS = np.kron(np.random.default_rng(0).integers(0, 256, (3, 5, 3)), np.ones((16, 16, 1))).astype(np.uint8)
"""48×80 pixels of plain colours, which JPEG hardly changes, and no two corners alike."""


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}), **options)
    return file.getvalue()


def oriented(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(Image.fromarray(BLOCKS), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


def read(folder: Path, data: bytes, name: str = "image.png", **how: bool) -> np.ndarray:
    """Most kinds get a wrong suffix: the content counts."""
    (folder / name).write_bytes(data)
    image = read_image(folder / name, **how)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    return image


def is_nearly(image: np.ndarray, expected: np.ndarray) -> bool:
    return image.shape == expected.shape and np.abs(image.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_read_as_shown(tmp_path: Path, kind: str, orientation: int) -> None:
    data = oriented(kind, orientation)
    shown = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert is_nearly(read(tmp_path, data), shown)
    if kind != "TIFF":
        assert is_nearly(read(tmp_path, data, as_stored=True), BLOCKS)


def test_an_orientation_is_read_although_xmp_data_name_exif(tmp_path: Path) -> None:
    """The XMP chunk follows the EXIF chunk, and its text may hold that chunk's name."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encoded(Image.fromarray(BLOCKS), "WEBP", exif=exif, xmp=b"<x:note>EXIF data</x:note>")
    assert is_nearly(read(tmp_path, data), np.rot90(BLOCKS, -1))


TURNING = b"\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
"""The rest of EXIF data whose one entry is orientation 6."""


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"II*\0\x08\0\0\0\xff\xff", b"MM", b"II*\0\xff\xff\xff\xff", b"IIII" + TURNING]
)
def test_damaged_exif_data_turn_nothing(tmp_path: Path, exif: bytes) -> None:
    assert is_nearly(read(tmp_path, encoded(Image.fromarray(BLOCKS), "WEBP", exif=exif)), BLOCKS)


@pytest.mark.parametrize(("orientation", "turned"), [(3, True), (6, True), (6, False)])
def test_an_image_with_labels_is_taken_as_shown_unless_only_as_stored_it_has_their_size(
    tmp_path: Path, orientation: int, turned: bool
) -> None:
    data = oriented("JPEG", orientation)
    (tmp_path / "image.jpg").write_bytes(data)
    shown = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    expected = shown if turned else BLOCKS
    cv2.imwrite(str(tmp_path / "label.png"), np.zeros(expected.shape[:2], np.uint8))
    image, label = read_pair(Item(tmp_path / "image.jpg", tmp_path / "label.png", "image"), CLASSES)
    assert is_nearly(image, expected) and label.shape == expected.shape[:2]


def test_labels_that_fit_neither_way_are_refused_as_before(tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_bytes(oriented("JPEG", 6))
    cv2.imwrite(str(tmp_path / "label.png"), np.zeros((48, 48), np.uint8))
    with pytest.raises(DataError, match=r"label.png is 48×48 pixels and its image .*image.jpg is 80×48; expected the same size"):
        read_pair(Item(tmp_path / "image.jpg", tmp_path / "label.png", "image"), CLASSES)


PICTURE = Image.fromarray(BLOCKS)
SEE_THROUGH = np.dstack([BLOCKS, np.zeros(BLOCKS.shape[:2], np.uint8)])
GRAY = np.array(PICTURE.convert("L"))
PALETTE = PICTURE.convert("P", palette=Image.Palette.ADAPTIVE)

KINDS = {
    "gray": (encoded(PICTURE.convert("L"), "PNG"), np.dstack([GRAY] * 3)),
    "gray with alpha": (encoded(PICTURE.convert("LA"), "PNG"), np.dstack([GRAY] * 3)),
    "gray tiff": (encoded(PICTURE.convert("L"), "TIFF"), np.dstack([GRAY] * 3)),
    "one bit": (encoded(PICTURE.convert("1"), "PNG"), np.array(PICTURE.convert("1").convert("RGB"))),
    "palette": (encoded(PALETTE, "PNG"), np.array(PALETTE.convert("RGB"))),
    "palette with a transparent colour": (encoded(PALETTE, "PNG", transparency=0), np.array(PALETTE.convert("RGB"))),
    "transparent": (encoded(Image.fromarray(SEE_THROUGH), "PNG"), BLOCKS),
    "transparent webp": (encoded(Image.fromarray(SEE_THROUGH), "WEBP"), BLOCKS),
    "webp": (encoded(PICTURE, "WEBP"), BLOCKS),
    "bmp": (encoded(PICTURE, "BMP"), BLOCKS),
    "tiff": (encoded(PICTURE, "TIFF", compression="tiff_lzw"), BLOCKS),
    "progressive jpeg": (encoded(PICTURE, "JPEG", quality=95, progressive=True), BLOCKS),
    "cmyk jpeg": (encoded(PICTURE.convert("CMYK"), "JPEG", quality=95), BLOCKS),
    "cmyk tiff": (encoded(PICTURE.convert("CMYK"), "TIFF"), BLOCKS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_as_rgb(tmp_path: Path, kind: str) -> None:
    data, expected = KINDS[kind]
    image = read(tmp_path, data)
    assert is_nearly(image, expected) if "jpeg" in kind else np.array_equal(image, expected)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("shape", [(24, 40), (24, 40, 3), (24, 40, 4)])
def test_of_sixteen_bits_the_upper_eight_are_kept(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, shape).astype(np.uint16)
    rgb = np.dstack([deep] * 3) if deep.ndim == 2 else deep[..., 2::-1]
    assert np.array_equal(read(tmp_path, cv2.imencode(suffix, deep)[1].tobytes()), rgb >> 8)


@pytest.mark.parametrize("size", [(1, 1), (10, 20000), (20000, 10)])
def test_no_size_is_too_odd(tmp_path: Path, size: tuple[int, int]) -> None:
    assert read(tmp_path, encoded(Image.fromarray(np.zeros((*size, 3), np.uint8)), "PNG")).shape == (*size, 3)


def vast_png() -> bytes:
    """A small PNG that says it has a million million pixels."""
    data = bytearray(encoded(PICTURE, "PNG"))
    struct.pack_into(">II", data, 16, 1_000_000, 1_000_000)
    struct.pack_into(">I", data, 29, zlib.crc32(bytes(data[12:29])))
    return bytes(data)


NOISE = Image.fromarray(np.random.default_rng(2).integers(0, 256, (60, 90, 3)).astype(np.uint8))
BROKEN = {
    "empty": (b"", r"is empty or truncated \(0 bytes\); copy it again"),
    "half a png": (encoded(NOISE, "PNG")[:8000], r"is empty or truncated \(8000 bytes\)"),
    "half a jpeg": (encoded(NOISE, "JPEG")[:2000], r"is empty or truncated \(2000 bytes\)"),
    "half a webp": (encoded(NOISE, "WEBP")[:2000], r"is empty or truncated \(2000 bytes\)"),
    "half a tiff": (encoded(NOISE, "TIFF")[:2000], "is damaged, or no image of a kind that can be decoded; replace it"),
    "half a bmp": (encoded(NOISE, "BMP")[:2000], "is damaged, or no image"),
    "text": (b"404 Not Found", "is damaged, or no image"),
    "web page": (b"<!DOCTYPE html><html>404 Not Found</html>", "is a web page, not the image; download it again"),
    "git-lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "is a git-lfs pointer, not the image; run git lfs pull",
    ),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC image, whatever its name says; convert it to PNG or JPEG"),
    "photoshop": (b"8BPS\0\1" + bytes(40), "is a Photoshop file; convert it"),
    "vast": (vast_png(), "is too large; expected at most 1,073,741,824 pixels"),
    "floats": (
        encoded(Image.fromarray(np.ones((4, 5), np.float32)), "TIFF"),
        "holds float32 values, here from 1 to 1: say which",
    ),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_file_that_is_no_whole_image_is_named(tmp_path: Path, mistake: str) -> None:
    data, message = BROKEN[mistake]
    with pytest.raises(DataError, match=rf"image\.png {message}"):
        read(tmp_path, data)


def test_values_that_are_no_colours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image\.png holds float32 values, here from 1 to 1: say which of them become black"):
        read(tmp_path, cv2.imencode(".hdr", np.ones((4, 5, 3), np.float32))[1].tobytes())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*nowhere\.png: No such file or directory"):
        read_image(tmp_path / "nowhere.png")
