"""Images of any number of channels and of any depth, from files of every kind that can hold them."""

import io
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from PIL import Image

from segformer_core.config.keys import Config
from segformer_core.data.display import shown
from segformer_core.data.image_file import image_size, read_image
from segformer_core.data.image_form import ImageForm, RangeQuestion
from segformer_core.errors import DataError

SIZE = 20, 30
RNG = np.random.default_rng(0)


def bands(count: int, dtype: str = "uint8", largest: float = 255) -> np.ndarray:
    """(20, 30, count) of values up to `largest`, which is among them."""
    values = np.random.default_rng(count).uniform(0, largest, (*SIZE, count))
    values[0, 0] = largest
    return values.astype(dtype)


def tiff(path: Path, values: np.ndarray, **options: object) -> Path:
    (height, width, count), kind = values.shape, values.dtype.name
    place = rasterio.Affine(10, 0, 500, 0, -10, 900)
    with rasterio.open(path, "w", "GTiff", width, height, count, dtype=kind, transform=place, **options) as file:
        file.write(values.transpose(2, 0, 1))
    return path


def npy(path: Path, values: np.ndarray) -> Path:
    np.save(path, values)
    return path


def png(path: Path, values: np.ndarray) -> Path:
    """Gray, RGB or RGBA."""
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[values.shape[2]]
    assert cv2.imwrite(str(path), values[..., order])
    return path


@pytest.mark.parametrize(
    "options", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}, {"interleave": "band"}, {"BIGTIFF": "YES"}]
)
@pytest.mark.parametrize("count", [2, 4, 5, 10])
def test_every_band_of_a_tiff_is_read_as_stored(tmp_path: Path, count: int, options: dict) -> None:
    stored = bands(count)
    image = read_image(tiff(tmp_path / "bands.tif", stored, **options), ImageForm(count))
    assert image.dtype == np.uint8 and image.flags.c_contiguous and np.array_equal(image, stored)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 10])
def test_an_array_is_read_wherever_its_channels_are(tmp_path: Path, count: int) -> None:
    stored, form = bands(count), ImageForm(count)
    layouts = [stored, stored.transpose(2, 0, 1), np.asfortranarray(stored), *([stored[..., 0]] if count == 1 else [])]
    for layout in layouts:
        assert np.array_equal(read_image(npy(tmp_path / "bands.npy", layout), form), stored)


def test_an_array_whose_first_and_last_axis_fit_has_its_channels_last(tmp_path: Path) -> None:
    stored = np.arange(4 * 6 * 4, dtype=np.uint8).reshape(4, 6, 4)
    assert np.array_equal(read_image(npy(tmp_path / "bands.npy", stored), ImageForm(4)), stored)


def test_an_array_of_the_other_byte_order_has_the_same_values(tmp_path: Path) -> None:
    stored = bands(2, "uint16", 4095)
    image = read_image(npy(tmp_path / "bands.npy", stored.astype(">u2")), ImageForm(2, (0, 4095)))
    assert np.allclose(image, stored * (255 / 4095), atol=1e-4)


def test_red_green_blue_and_alpha_are_four_channels_turned_as_shown(tmp_path: Path) -> None:
    stored = bands(4)
    assert np.array_equal(read_image(png(tmp_path / "rgba.png", stored), ImageForm(4)), stored)
    assert np.array_equal(read_image(tiff(tmp_path / "rgba.tif", stored, photometric="RGB"), ImageForm(4)), stored)
    assert np.array_equal(read_image(png(tmp_path / "without_a_place.tif", stored), ImageForm(4)), stored)
    exif = Image.Exif()
    exif[0x112] = 6
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        Image.fromarray(stored).save(tmp_path / "turned", kind, exif=exif, **options)
        assert np.array_equal(read_image(tmp_path / "turned", ImageForm(4)), np.rot90(stored, -1)), kind
        assert np.array_equal(read_image(tmp_path / "turned", ImageForm(4), as_stored=True), stored), kind


def test_one_channel_is_gray_or_three_equal_ones(tmp_path: Path) -> None:
    gray = bands(1)
    three = np.repeat(gray, 3, axis=2)
    for path in (png(tmp_path / "gray.png", gray), png(tmp_path / "rgb.png", three), tiff(tmp_path / "gray.tif", gray)):
        assert np.array_equal(read_image(path, ImageForm(1)), gray) and np.array_equal(read_image(path), three)
    three[7, 9, 2] ^= 1
    with pytest.raises(DataError, match=r"rgb\.png has colours, as at row 7, column 9, and in_channels is 1; expected gray"):
        read_image(png(tmp_path / "rgb.png", three), ImageForm(1))


@pytest.mark.parametrize(
    ("write", "count", "channels"),
    [(png, 3, 4), (png, 4, 5), (png, 1, 2), (tiff, 5, 3), (tiff, 5, 1), (tiff, 4, 10), (npy, 5, 3), (npy, 4, 1)],
)
def test_another_number_of_channels_is_refused(tmp_path: Path, write: object, count: int, channels: int) -> None:
    path = write(tmp_path / f"image{'.png' if write is png else '.tif'}", bands(count))  # type: ignore[operator]
    path = path if path.exists() else path.with_name(f"{path.name}.npy")
    plural = "channel" if count == 1 else "channels"
    with pytest.raises(DataError, match=rf"has {count} {plural}; expected {channels}, as in_channels says: convert it, or train"):
        read_image(path, ImageForm(channels))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_twelve_bits_in_sixteen_are_a_question_and_with_a_range_a_scale(tmp_path: Path, suffix: str, channels: int) -> None:
    stored = bands(channels, "uint16", 4095)
    path = {".png": png, ".tif": tiff, ".npy": npy}[suffix](tmp_path / f"image{suffix}", stored)
    question = (
        r"has 16 bits a channel and no value above 4095, so it may be nearly black: set image_range: \[0, 4095\] if these are "
        r"data of 12 bits, or image_range: \[0, 65535\] if the image is as dark as this"
    )
    with pytest.raises(RangeQuestion, match=question):
        read_image(path, ImageForm(channels))
    image = read_image(path, ImageForm(channels, (0, 4095)))
    assert image.dtype == np.float32 and image.shape == stored.shape
    assert np.allclose(image, stored.astype(float) / 4095 * 255, atol=1e-4)
    assert read_image(path, ImageForm(channels, (95, 2095))).max() == pytest.approx(510), "not clipped"


def test_sixteen_bits_that_are_used_keep_the_upper_eight(tmp_path: Path) -> None:
    stored = bands(5, "uint16", 65535)
    assert np.array_equal(read_image(tiff(tmp_path / "deep.tif", stored), ImageForm(5)), stored >> 8)
    black = np.zeros((*SIZE, 3), np.uint16)
    assert not read_image(png(tmp_path / "black.png", black)).any(), "a black image asks nothing"


@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "uint32"])
def test_other_numbers_need_a_range(tmp_path: Path, kind: str) -> None:
    stored = bands(2, kind, 1000)
    for path in (tiff(tmp_path / "image.tif", stored), npy(tmp_path / "image.npy", stored)):
        with pytest.raises(RangeQuestion, match=rf"image\.\w+ holds {kind} values, here from [\d.]+ to 1000: say which of them"):
            read_image(path, ImageForm(2))
        assert np.allclose(read_image(path, ImageForm(2, (-500, 1500))), (stored.astype(float) + 500) / 2000 * 255, atol=1e-3)


def test_a_float_between_0_and_1_is_asked_for_just_that(tmp_path: Path) -> None:
    with pytest.raises(RangeQuestion, match=r"such as image_range: \[0, 1\]"):
        read_image(npy(tmp_path / "image.npy", bands(3, "float32", 0.9)))


def test_what_is_no_number_and_no_data_are_nan(tmp_path: Path) -> None:
    stored = bands(2, "float32", 1)
    stored[3, 4, 0], stored[5, 6, 1], stored[7, 8, 1] = np.nan, np.inf, -9999
    image = read_image(tiff(tmp_path / "image.tif", stored, nodata=-9999), ImageForm(2, (0, 1)))
    assert sorted(map(tuple, np.argwhere(np.isnan(image)))) == [(3, 4, 0), (5, 6, 1), (7, 8, 1)]
    whole = bands(2, "uint16", 4000)
    whole[1, 2] = 0
    image = read_image(tiff(tmp_path / "image.tif", whole, nodata=0), ImageForm(2, (0, 4095)))
    assert np.isnan(image[1, 2]).all() and np.isnan(image).sum() == (whole == 0).sum()


def test_eight_bits_are_read_as_they_are_whatever_the_range(tmp_path: Path) -> None:
    stored = bands(3)
    assert np.array_equal(read_image(png(tmp_path / "image.png", stored), ImageForm(3, (0, 4095))), stored)


def test_a_tiff_of_bands_without_rasterio_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiff(tmp_path / "bands.tif", bands(5))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(
        DataError, match=r"bands\.tif has bands that only rasterio reads, which is not installed: run pip install"
    ):
        read_image(path, ImageForm(5))
    assert read_image(png(tmp_path / "rgb.png", bands(3))).shape == (*SIZE, 3)


DAMAGED = {
    "half a tiff": lambda folder: tiff(folder / "x.tif", bands(5)).read_bytes()[:900],
    "half an array": lambda folder: npy(folder / "x.npy", bands(5)).read_bytes()[:900],
    "an array of objects": lambda folder: saved(np.array([None, {}], object)),
    "a vast array": lambda folder: saved(np.zeros((2, 2), np.uint8)).replace(b"(2, 2), }            ", b"(2, 2222222222222), }"),
    "an array of text": lambda folder: saved(np.array(["a", "b"])),
    "no header": lambda folder: b"\x93NUMPY\x01\x00\xff\xff",
}


def saved(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_of_bands_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(DAMAGED[kind](tmp_path))
    with pytest.raises(DataError, match=r"image (is damaged|holds|is an array of)"):
        read_image(path, ImageForm(5, (0, 1)))


def test_the_size_of_an_image_needs_no_range(tmp_path: Path) -> None:
    for path in (
        tiff(tmp_path / "a.tif", bands(5, "float32")),
        npy(tmp_path / "b.npy", bands(7, "uint16", 9)),
        png(tmp_path / "c.png", bands(3)),
    ):
        assert image_size(path) == SIZE


def test_any_image_can_be_shown() -> None:
    gray, two, many = bands(1), bands(2), bands(10)
    assert np.array_equal(shown(gray), np.repeat(gray, 3, axis=2)) and np.array_equal(shown(gray[..., 0]), shown(gray))
    assert np.array_equal(shown(two), shown(two[..., :1])) and np.array_equal(shown(many), many[..., :3])
    assert shown(many[..., :3].copy()).dtype == np.uint8
    floats = np.array([[[-3.0, 12.6, 400.0, np.nan]]], np.float32)
    assert shown(floats).tolist() == [[[0, 13, 255]]] and shown(floats[..., 3:]).tolist() == [[[0, 0, 0]]]


def test_the_form_comes_from_the_keys() -> None:
    assert ImageForm.of(Config()) == ImageForm() == ImageForm(3, None)
