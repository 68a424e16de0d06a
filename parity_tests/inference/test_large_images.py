"""Large images: read, labelled and written by rows, with the results of images that are handled at once."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.inference import halves as halves_file
from parity_tests.inference.halves import CLASSES, CONFIDENCES, SPEC, Halves, halves
from segformer_core.config.keys import DataConfig, EvaluationConfig, InferenceConfig
from segformer_core.data import rows as rows_file
from segformer_core.data.header import read_header
from segformer_core.data.image_file import read_image
from segformer_core.data.image_form import ImageForm
from segformer_core.data.rows import Sliding, TiffRows, opened_rows
from segformer_core.errors import DataError
from segformer_core.inference import infer as infer_file
from segformer_core.inference import sources
from segformer_core.inference.infer import Incomplete, duration, infer
from segformer_core.inference.results import Results
from segformer_core.inference.row_files import png_writer, tiff_writer
from segformer_core.inference.segmenter import Segmenter
from segformer_core.inference.sources import named
from segformer_core.pictures import painting

SIZE = (150, 130)
WINDOWS = EvaluationConfig(eval_mode="native", eval_crop_size=(64, 64), eval_stride=(48, 48))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def write_tiff(path: Path, image: np.ndarray, **form: object) -> None:
    rasterio = pytest.importorskip("rasterio")
    keys = {"height": image.shape[0], "width": image.shape[1], "count": image.shape[2], "dtype": image.dtype, "tiled": True}
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.2, 0, 5e5, 0, -0.2, 5.3e6)}
    with rasterio.open(path, "w", driver="GTiff", blockxsize=32, blockysize=32, **keys, **place, **form) as file:
        file.write(image.transpose(2, 0, 1))


def run(folder: Path, names: list[str], large: bool, monkeypatch, **keys: object) -> list[str]:
    """Infer on files of `folder` into folder/large or folder/small; the lines of the log."""
    monkeypatch.setattr(sources, "LARGE", 1 if large else 2**40)
    lines: list[str] = []
    output = str(folder / ("large" if large else "small"))
    results = Results(
        named((folder / name, Path(name)) for name in names), CLASSES, InferenceConfig(infer_output_path=output, **keys)
    )
    infer(Segmenter(Halves(), SPEC, DataConfig(dataset_num_parallel_workers=0), WINDOWS, CLASSES), results, 1, lines.append)
    return lines


def content(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.iterdir())}


def test_results_by_rows_are_those_of_images_at_once(pixels, tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    cv2.imwrite(str(tmp_path / "b.bmp"), pixels[:60, :50])
    cv2.imwrite(str(tmp_path / "c.jpg"), pixels)
    write_tiff(tmp_path / "d.tif", pixels, photometric="RGB")
    names = ["a.png", "b.bmp", "c.jpg", "d.tif"]
    lines = run(tmp_path, names, True, monkeypatch, infer_save_confidence_img=True)
    run(tmp_path, names, False, monkeypatch, infer_save_confidence_img=True)
    found, want = content(tmp_path / "large"), content(tmp_path / "small")
    assert found.keys() == want.keys() and len(found) == 4 * 5 + 1
    for name, picture in want.items():
        assert np.array_equal(found[name], picture), name
    assert np.array_equal(found["a_gray.png"], halves(SIZE)) and np.array_equal(found["d_gray.tif"], halves(SIZE))
    assert (found["a_confidence.png"][:, -1] == round(255 * CONFIDENCES[1])).all()
    assert [line for line in lines if " rows 150/150, 0 s left" in line and "infer a.png" in line]
    assert not [path for path in (tmp_path / "large").iterdir() if path.name.startswith(".")]


def test_the_place_on_the_earth_is_kept(pixels, tmp_path, monkeypatch):
    rasterio = pytest.importorskip("rasterio")
    write_tiff(tmp_path / "d.tif", pixels, photometric="RGB")
    for large in (True, False):
        run(tmp_path, ["d.tif"], large, monkeypatch)
        folder = tmp_path / ("large" if large else "small")
        for ending, count in (("gray", 1), ("color", 3), ("overlap", 3)):
            with rasterio.open(folder / f"d_{ending}.tif") as file, rasterio.open(tmp_path / "d.tif") as source:
                assert (file.crs, file.transform, file.shape, file.count) == (source.crs, source.transform, SIZE, count)
                assert file.profile["tiled"] and file.profile["compress"] == "deflate"
    plain = tmp_path / "plain.tif"
    cv2.imwrite(str(plain), pixels)
    run(tmp_path, ["plain.tif"], False, monkeypatch)
    assert (tmp_path / "small/plain_gray.png").is_file(), "a small TIFF without a place gives PNGs as before"


def test_a_broken_large_image_leaves_no_half_and_the_others_go_on(pixels, tmp_path, monkeypatch):
    write_tiff(tmp_path / "broken.tif", pixels, photometric="RGB", compress="deflate")
    cv2.imwrite(str(tmp_path / "whole.png"), pixels)
    data = bytearray((tmp_path / "broken.tif").read_bytes())
    data[-6000:] = bytes(6000)
    (tmp_path / "broken.tif").write_bytes(data)
    with pytest.raises(Incomplete, match="1 of 2 files could not be read"):
        run(tmp_path, ["broken.tif", "whole.png"], True, monkeypatch)
    names = {path.name for path in (tmp_path / "large").iterdir()}
    assert names == {"legend.png", "whole.png", "whole_gray.png", "whole_color.png", "whole_overlap.png"}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("writer", ["png", "tiff"])
def test_rows_that_are_written_are_read_back(writer, channels, tmp_path):
    picture = np.random.default_rng(1).integers(0, 256, (700, 333, channels)).astype(np.uint8)
    path = tmp_path / f"x.{writer}"
    make = png_writer(path, (700, 333), channels) if writer == "png" else tiff_writer(path, (700, 333), channels, {})
    with make as write:
        for top, bottom in ((0, 1), (1, 300), (300, 301), (301, 700)):
            write(picture[top:bottom] if channels == 3 else picture[top:bottom, :, 0])
            assert not path.exists()
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(found if channels == 1 else found[..., ::-1], picture.squeeze())
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("make", [png_writer, lambda *a: tiff_writer(*a, {})], ids=["png", "tiff"])
def test_an_interrupted_writer_leaves_the_file_of_before(make, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), make(path, (40, 30), 1) as write:
        write(np.zeros((20, 30), np.uint8))
        raise KeyboardInterrupt
    assert path.read_bytes() == b"before" and [item.name for item in tmp_path.iterdir()] == ["x.png"]


FORMS = {
    "RGB": (3, np.uint8, {"photometric": "RGB", "compress": "deflate"}),
    "planes": (3, np.uint8, {"photometric": "RGB", "interleave": "band"}),
    "gray": (1, np.uint8, {}),
    "16 bits": (3, np.uint16, {"photometric": "RGB"}),
    "alpha": (4, np.uint8, {"photometric": "RGB", "alpha": "YES"}),
    "premultiplied alpha": (4, np.uint8, {"photometric": "RGB", "alpha": "PREMULTIPLIED"}),
    "bands": (5, np.uint8, {}),
    "bands of 16 bits without a value": (5, np.uint16, {"nodata": 65535}),
}


@pytest.mark.parametrize("scale", [None, (0.0, 4095.0)], ids=["no range", "a range"])
@pytest.mark.parametrize("form", FORMS)
def test_a_tiffs_rows_are_those_of_the_image_read_at_once(form, scale, tmp_path):
    """Of 8 bits they are as stored, whatever the range."""
    count, kind, keys = FORMS[form]
    values = np.random.default_rng(2).integers(0, np.iinfo(kind).max, (*SIZE, count), endpoint=True).astype(kind)
    write_tiff(tmp_path / "x.tif", values, **keys)
    shown = ImageForm(max(count, 3) if count != 4 else 3, scale)
    want = read_image(tmp_path / "x.tif", shown)
    assert want.dtype == (np.uint8 if scale is None or kind is np.uint8 else np.float32)
    with opened_rows(tmp_path / "x.tif", shown) as image:
        assert image.size == SIZE and (scale is not None or isinstance(image, TiffRows))
        seen = Sliding(image)
        for top, bottom in ((0, 64), (48, 112), (86, 150)):
            assert np.array_equal(seen.read(top, bottom), want[top:bottom], equal_nan=want.dtype == np.float32)
            seen.forget(top)


def test_rows_of_16_bits_that_may_be_nearly_black_are_a_question(tmp_path):
    dark = np.full((600, 64, 1), 4095, np.uint16)
    write_tiff(tmp_path / "dark.tif", dark)
    with pytest.raises(DataError, match=r"no value above 4095, .* image_range: \[0, 4095\] if these are data of 12 bits"):
        with opened_rows(tmp_path / "dark.tif"):
            pass
    bands = np.full((600, 64, 5), 4095, np.uint16)
    bands[0, 0] = 65535
    write_tiff(tmp_path / "bands.tif", bands, nodata=65535)
    for read in (read_image, lambda path, form: opened_rows(path, form).__enter__()):
        with pytest.raises(DataError, match="no value above 4095"):
            read(tmp_path / "bands.tif", ImageForm(5))
    dark[-1, -1] = 2**14
    write_tiff(tmp_path / "bright.tif", dark)
    with opened_rows(tmp_path / "bright.tif") as image:
        assert isinstance(image, TiffRows) and image.read(599, 600)[0, -1].tolist() == [64] * 3


def test_dark_parts_of_an_image_are_as_dark_as_the_others(pixels, tmp_path, monkeypatch):
    """At once the image is lifted as a whole; by rows no part is, as the next one may be lifted otherwise."""
    cv2.imwrite(str(tmp_path / "night.png"), dark := pixels // 8)
    for large in (True, False):
        run(tmp_path, ["night.png"], large, monkeypatch, infer_overlap_alpha=0.25)
    by_rows, at_once = (content(tmp_path / where)["night_overlap.png"].mean() for where in ("large", "small"))
    colours = content(tmp_path / "large")["night_color.png"].mean()
    assert by_rows == pytest.approx(0.75 * dark.mean() + 0.25 * colours, abs=1) and at_once > by_rows + 10


@pytest.mark.parametrize(("rows", "side"), [(7, 2048), (7, 40), (1, 60), (64, 2048)])
def test_outlines_by_rows_are_those_of_the_whole(rows, side, pixels, tmp_path, monkeypatch):
    """Classes meet in lines and in noise, and an outline looks at up to eight rows above and below."""
    monkeypatch.setattr(infer_file, "ROWS_AT_ONCE", rows)
    monkeypatch.setattr(painting, "OUTLINE_SIDE", side)
    noise = (np.random.default_rng(1).random(SIZE) < 0.02) ^ (np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1])) % 60 < 30)
    monkeypatch.setattr(halves_file, "halves", lambda size: noise.astype(np.uint8))
    cv2.imwrite(str(tmp_path / "day.png"), np.maximum(pixels, 128))
    for large in (True, False):
        run(tmp_path, ["day.png"], large, monkeypatch, infer_overlap_outlines=True)
    by_rows, at_once = (content(tmp_path / where) for where in ("large", "small"))
    assert all(np.array_equal(by_rows[name], at_once[name]) for name in at_once)
    run(tmp_path, ["day.png"], False, monkeypatch)
    assert not np.array_equal(content(tmp_path / "small")["day_overlap.png"], at_once["day_overlap.png"])


def test_more_pixels_than_opencv_takes_are_read_by_rows(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    keys = {"height": 33000, "width": 33000, "count": 3, "dtype": "uint8", "tiled": True, "sparse_ok": True}
    keys |= {"photometric": "RGB", "transform": rasterio.Affine(1, 0, 5, 0, -1, 5)}
    with rasterio.open(tmp_path / "x.tif", "w", driver="GTiff", **keys) as file:
        file.write(np.full((3, 256, 256), 77, np.uint8), window=((32512, 32768), (0, 256)))
    with opened_rows(tmp_path / "x.tif") as image:
        assert image.read(32700, 32702)[:, [0, 300]].tolist() == [[[77] * 3, [0] * 3]] * 2
        with pytest.raises(DataError, match="33000×33000 pixels, more than are resized at once .* with --eval_mode native"):
            image.whole()


def test_gdal_reads_the_file_alone(pixels, tmp_path):
    """A world file beside the image is what GDAL would look for."""
    cv2.imwrite(str(tmp_path / "x.tif"), pixels)
    (tmp_path / "x.tfw").write_text("0.5\n0\n0\n-0.5\n100\n200\n")
    with opened_rows(tmp_path / "x.tif") as image:
        assert isinstance(image, TiffRows) and image.place == {}


def test_without_rasterio_images_are_decoded_at_once(pixels, tmp_path, monkeypatch):
    write_tiff(tmp_path / "x.tif", pixels, photometric="RGB")
    monkeypatch.setattr(rows_file, "has_rasterio", lambda: False)
    with opened_rows(tmp_path / "x.tif") as image:
        assert np.array_equal(image.whole(), pixels)


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif"])
def test_headers_say_the_size(ending, pixels, tmp_path):
    cv2.imwrite(str(tmp_path / f"x.{ending}"), pixels)
    header = read_header(tmp_path / f"x.{ending}")
    assert header and header.size == SIZE and not header.georeferenced
    (tmp_path / "cut").write_bytes((tmp_path / f"x.{ending}").read_bytes()[:9])
    assert read_header(tmp_path / "cut") is None or ending == "png"


def test_a_segmenter_gives_bands_with_their_rows(pixels):
    network = Segmenter(Halves(), SPEC, DataConfig(base_size=(32, 64)), WINDOWS)
    for evaluation in (WINDOWS, replace(WINDOWS, eval_mode="whole")):
        found = list(replace(network, evaluation=evaluation).bands(rows_file.ArrayRows(pixels)))
        assert np.array_equal(np.concatenate([labels for _, labels, _, _ in found]), halves(SIZE))
        assert np.array_equal(np.concatenate([seen for *_, seen in found]), pixels)


def test_durations_in_words():
    assert [duration(seconds) for seconds in (4.4, 89, 190, 7500)] == ["4 s", "89 s", "3 min", "2 h 5 min"]
