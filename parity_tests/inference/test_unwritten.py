"""What inference refuses to write over, cannot read or cannot write: it says so, and no file is left half written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from parity_tests.inference.halves import CLASSES, Halves, segmenter
from parity_tests.inference.photos import SIZES, names, run, write_images
from segformer_core.config.keys import InferenceConfig
from segformer_core.errors import DataError, UserError
from segformer_core.files import atomic_write, writable_directory
from segformer_core.inference.infer import Incomplete, infer
from segformer_core.inference.results import Results
from segformer_core.inference.sources import named


def test_results_beside_the_images_leave_the_images_alone(tmp_path: Path) -> None:
    images = write_images(tmp_path, SIZES)
    before = {image: (image.read_bytes(), image.stat().st_ino) for image in images}
    run(images, tmp_path)
    assert {image: (image.read_bytes(), image.stat().st_ino) for image in images} == before
    assert "wide_gray.png" in names(tmp_path)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (("in/a.png", "other/a.png"), r"in/a\.png and .*other/a\.png would both be written to .*a\.png_gray\.png"),
        (("in/a_color.png", "in/a.png"), r"would both be written to .*out/a_color\.png"),
        (("in/a.png", "in/a.jpg", "in/a.jpg.png"), r"a\.jpg and .*a\.jpg\.png would both be written to .*a\.jpg_gray\.png"),
        (("out/a.png", "out/a_gray.png"), r"out/a\.png would overwrite .*out/a_gray\.png, which is to be read as well; keep"),
        (("in/a.png", "out/sub/a.png", "out/a.png"), r"would (overwrite .*out/a\.png|both be written)"),
        (("in/b.png", "out/b_overlap.png"), r"in/b\.png would overwrite .*out/b_overlap\.png"),
    ],
)
def test_results_that_would_overwrite_something_are_refused(tmp_path: Path, files: tuple[str, ...], complaint: str) -> None:
    images = [tmp_path / file for file in files]
    for image in images:
        write_images(image.parent, {image.name: (32, 32)})
    before = [image.read_bytes() for image in images]
    network = Halves()
    settings = InferenceConfig(infer_output_path=str(tmp_path / "out"))
    with pytest.raises(DataError, match=complaint):
        sources = named((image, Path(image.name)) for image in images)
        infer(segmenter(network), Results(sources, CLASSES, settings), settings.infer_log_interval, print)
    assert network.calls == 0
    assert [image.read_bytes() for image in images] == before


@pytest.mark.parametrize("place", ["wide.png", "a/wide.png"])
def test_an_output_folder_that_cannot_be_written_is_told_before_the_network_runs(tmp_path: Path, place: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    output = tmp_path / "out" if "/" in place else tmp_path / "out" / "a" / "deeper"
    [image] = write_images(tmp_path / "in", {"wide.png": (30, 70)})
    network = Halves()
    settings = InferenceConfig(infer_output_path=str(output))
    with pytest.raises(UserError, match=r"cannot write in folder .*/out/a.*; choose another"):
        results = Results(named([(image, Path(place))]), CLASSES, settings)
        infer(segmenter(network), results, settings.infer_log_interval, print)
    assert network.calls == 0


@pytest.mark.parametrize("workers", [0, 3])
def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_done(tmp_path: Path, workers: int) -> None:
    images = write_images(tmp_path / "in", SIZES)
    images[1].write_bytes(b"no image")
    images[3].write_bytes(images[3].read_bytes()[:30])
    lines: list[str] = []
    settings = InferenceConfig(infer_output_path=str(tmp_path / "out"))
    sources = named((image, Path(image.name)) for image in images)
    with pytest.raises(Incomplete) as raised:
        infer(segmenter(Halves(), workers), Results(sources, CLASSES, settings), settings.infer_log_interval, lines.append)
    assert str(raised.value) == f"2 of 5 files could not be read: {images[3]}, {images[1]}; everything else is done"
    assert f"{images[1]} is damaged, or no image of a kind that can be decoded; replace it" in lines
    assert f"{images[3]} is empty or truncated (30 bytes); copy it again" in lines
    endings = (".png", "_gray.png", "_color.png", "_overlap.png")
    expected = {f"{stem}{ending}" for stem in ("wide", "square", "line") for ending in endings}
    assert names(tmp_path / "out") == expected - {"square.png"} | {"square.bmp", "legend.png"}


def test_a_failing_write_stops_at_once_and_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_images(tmp_path / "in", {"wide.png": (30, 70), **{f"{index}.png": (32, 32) for index in range(40)}})
    run(images[:1], tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full_disk(path: Path, write: Callable[[Path], object]) -> None:
        def half(temporary: Path) -> None:
            write(temporary)
            temporary.write_bytes(temporary.read_bytes()[:20])
            raise OSError(28, "No space left on device")

        atomic_write(path, half if path.name != "legend.png" else write)

    monkeypatch.setattr("segformer_core.pictures.painting.atomic_write", full_disk)
    network = Halves()
    with pytest.raises(UserError, match=r"cannot write .*wide_gray\.png: No space left on device") as raised:
        sources = named((image, Path(image.name)) for image in images)
        settings = InferenceConfig(infer_output_path=str(tmp_path / "out"))
        infer(segmenter(network), Results(sources, CLASSES, settings), settings.infer_log_interval, print)
    assert not isinstance(raised.value, Incomplete) and network.calls < 20
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("mistake", [ValueError, KeyboardInterrupt])
def test_atomic_write_cleans_up_after_any_exception(tmp_path: Path, mistake: type[BaseException]) -> None:
    def write(temporary: Path) -> None:
        assert temporary.parent == tmp_path and temporary.suffix == ".png"
        temporary.write_text("half")
        raise mistake

    with pytest.raises(mistake):
        atomic_write(tmp_path / "file.png", write)
    assert names(tmp_path) == set()


def test_writing_where_nothing_can_be_written_is_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        atomic_write(tmp_path / "file" / "x.png", lambda temporary: temporary.write_text("x"))
    with pytest.raises(UserError, match="cannot write in folder"):
        writable_directory(tmp_path / "file")
