"""Inference on images: which files it writes, what they hold, what it refuses, and that no file is left half written."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.inference.halves import CLASSES, DESCRIPTION, SPEC, Halves, halves, segmenter
from segformer_core.config.keys import InferenceConfig
from segformer_core.data.image_file import read_image
from segformer_core.errors import DataError, UserError
from segformer_core.files import atomic_write, writable_directory
from segformer_core.inference.infer import Incomplete, infer
from segformer_core.inference.results import LEGEND_WIDTH, Results
from segformer_core.inference.sources import named
from segformer_core.pictures import legend, overlay
from segformer_core.spec.arrays import init_arrays
from segformer_core.weights.store import save_weights

SIZES = {"wide.png": (30, 70), "tall.jpg": (61, 25), "square.bmp": (40, 40), "dot.png": (1, 1), "line.png": (10, 20000)}


def write_images(folder: Path, sizes: dict[str, tuple[int, int]]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for index, (name, size) in enumerate(sizes.items()):
        pixels = np.random.default_rng(index).integers(0, 256, (*size, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / name), pixels)
    return [folder / name for name in sizes]


def run(
    images: list[Path], output: Path, workers: int = 2, batch_size: int = 1, **switches: bool | int | float
) -> tuple[Halves, list[str]]:
    """Infer on files whose places are their names."""
    network, lines = Halves(), []
    settings = InferenceConfig(infer_output_path=str(output), **switches)
    sources = named((image, Path(image.name)) for image in images)
    infer(segmenter(network, workers, batch_size), Results(sources, CLASSES, settings), settings.infer_log_interval, lines.append)
    return network, lines


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize(("workers", "batch_size"), [(0, 1), (3, 1), (3, 2)])
def test_results_have_the_original_names_the_images_size_and_its_labels(tmp_path: Path, workers: int, batch_size: int) -> None:
    images = write_images(tmp_path / "in", SIZES)
    run(images, tmp_path / "out", workers, batch_size)
    pictures = {f"{image.stem}{kind}.png" for image in images for kind in ("_gray", "_color", "_overlap")}
    assert names(tmp_path / "out") == pictures | set(SIZES) | {"legend.png"}
    for image in images:
        result = {
            kind: cv2.imread(str(tmp_path / "out" / f"{image.stem}_{kind}.png"), cv2.IMREAD_UNCHANGED)
            for kind in ("gray", "color", "overlap")
        }
        assert np.array_equal(result["gray"], halves(SIZES[image.name]))
        assert (result["color"] == np.array(CLASSES.colours)[result["gray"]][..., ::-1]).all()
        assert (result["overlap"][..., ::-1] == overlay(read_image(image), result["gray"], CLASSES)).all()
        assert (tmp_path / "out" / image.name).read_bytes() == image.read_bytes()


@pytest.mark.parametrize(
    ("switch", "file"),
    [
        ("infer_save_gray_img", "wide_gray.png"),
        ("infer_save_color_img", "wide_color.png"),
        ("infer_save_overlap_img", "wide_overlap.png"),
        ("infer_copy_original_img", "wide.png"),
    ],
)
def test_each_switch_leaves_out_its_file(tmp_path: Path, switch: str, file: str) -> None:
    run(write_images(tmp_path / "in", {"wide.png": (30, 70)}), tmp_path / "out", **{switch: False})
    assert names(tmp_path / "out") == {"wide_gray.png", "wide_color.png", "wide_overlap.png", "wide.png", "legend.png"} - {file}


def test_the_overlay_takes_its_share_of_colours_and_its_outlines(tmp_path: Path) -> None:
    images = write_images(tmp_path / "in", {"wide.png": (30, 70)})
    run(images, tmp_path / "out", infer_overlap_alpha=0.0, infer_overlap_outlines=True)
    written, image = read_image(tmp_path / "out" / "wide_overlap.png"), read_image(images[0])
    assert (written == overlay(image, halves((30, 70)), CLASSES, 0.0, outlines=True)).all()
    assert np.flatnonzero((written != image).any((0, 2))).tolist() == [33, 34, 35, 36]


def test_a_legend_comes_with_the_colours(tmp_path: Path) -> None:
    images = write_images(tmp_path / "in", {"wide.png": (30, 70)})
    run(images, tmp_path / "out")
    assert np.array_equal(read_image(tmp_path / "out" / "legend.png"), legend(CLASSES, LEGEND_WIDTH))
    run(images, tmp_path / "gray", infer_save_color_img=False, infer_save_overlap_img=False)
    assert "legend.png" not in names(tmp_path / "gray")


def test_the_legend_makes_way_for_an_image_of_its_name(tmp_path: Path) -> None:
    images = write_images(tmp_path / "in", {"legend.png": (30, 70)})
    _, lines = run(images, tmp_path / "out")
    assert (tmp_path / "out" / "legend.png").read_bytes() == images[0].read_bytes()
    assert f"no legend is written: {tmp_path}/out/legend.png is an image of its own" in lines


def test_sub_folders_are_kept(tmp_path: Path) -> None:
    places = [Path("a/x.png"), Path("b/c/x.png"), Path("b/c/x.jpg")]
    for place in places:
        write_images((tmp_path / "in" / place).parent, {place.name: (32, 32)})
    sources = named((tmp_path / "in" / place, place) for place in places)
    settings = InferenceConfig(infer_output_path=str(tmp_path / "out"), infer_save_color_img=False, infer_save_overlap_img=False)
    infer(segmenter(Halves()), Results(sources, CLASSES, settings), settings.infer_log_interval, print)
    assert names(tmp_path / "out") == {*map(str, places), "a/x_gray.png", "b/c/x.png_gray.png", "b/c/x.jpg_gray.png"}


def test_progress_is_logged_in_the_original_repositorys_words(tmp_path: Path) -> None:
    _, lines = run(write_images(tmp_path / "in", dict([*SIZES.items()][:3])), tmp_path / "out", infer_log_interval=2)
    assert lines[0] == f"get image size:3, infer result will save to {tmp_path / 'out'}"
    assert re.fullmatch(r"infer 2/3 done, step cost:\d+ms", lines[1])
    assert re.fullmatch(r"infer 3/3 done, step cost:\d+ms", lines[2])
    assert re.fullmatch(r"all infer process done, cost:\d+s", lines[3])
    assert len(lines) == 4


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


def command(folder: Path, **keys: object) -> subprocess.CompletedProcess[str]:
    """The command in a process and a folder of its own, with a backend whose network is `Halves`."""
    weights = folder / "weights.safetensors"
    if not weights.exists():
        save_weights(weights, SPEC, init_arrays(SPEC, 0))
    program = (
        "import sys; from parity_tests.inference.halves import connect; from segformer_core.cli import main; "
        "sys.exit(main('infer', connect, sys.argv[1:]))"
    )
    settings = {"class_num": 2, "infer_ckpt_path": weights, "base_size": "[32, 64]"} | keys
    words = [sys.executable, "-c", program, *(f"--{name}={value}" for name, value in settings.items())]
    environment = {"PATH": "", "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_command_twice_in_the_images_folder(tmp_path: Path) -> None:
    """The results lie in infer_result, which the second run skips."""
    write_images(tmp_path / "a", {"x.png": (32, 32)})
    (tmp_path / "dataset.yaml").write_text(DESCRIPTION)
    for _ in range(2):
        process = command(tmp_path, data_path=".", infer_copy_original_img=False)
        assert (process.returncode, process.stderr) == (0, ""), process.stderr
        assert "get image size:1, infer result" in process.stdout
        endings = ("gray", "color", "overlap")
        assert names(tmp_path / "infer_result") == {"legend.png", *(f"a/x_{ending}.png" for ending in endings)}


def test_the_command_says_what_could_not_be_read_in_one_sentence(tmp_path: Path) -> None:
    """The decoders' own messages do not reach the terminal."""
    [sound, *broken] = write_images(tmp_path, dict.fromkeys(("x.png", "broken.bmp", "broken.tif", "broken.webp"), (60, 90)))
    for path in broken:
        path.write_bytes(path.read_bytes()[:3000])
    for suffix in ("mp4", "mkv"):
        (tmp_path / f"broken.{suffix}").write_bytes(b"\x1a\x45\xdf\xa3 no video")
    (tmp_path / "dataset.yaml").write_text(DESCRIPTION)
    process = command(tmp_path, data_path=".")
    files = "broken.bmp, broken.mkv, broken.mp4, broken.tif, broken.webp"
    assert process.stderr == f"error: 5 of 6 files could not be read: {files}; everything else is done\n"
    assert process.returncode == 1
    assert sum(line.startswith("broken.") for line in process.stdout.splitlines()) == 5
    assert "x_gray.png" in names(tmp_path / "infer_result") and sound.exists()
