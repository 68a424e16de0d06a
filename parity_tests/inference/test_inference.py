"""Inference on images: which files it writes, what they hold, and what it says meanwhile."""

import io
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from tqdm import tqdm

from parity_tests import ROOT
from parity_tests.inference.halves import CLASSES, DESCRIPTION, SPEC, Halves, Terminal, halves, segmenter
from parity_tests.inference.photos import SIZES, names, run, write_images
from parity_tests.pictures.font_files import install
from segformer_core.config.keys import InferenceConfig
from segformer_core.data.dataset import Classes
from segformer_core.data.image_file import read_image
from segformer_core.errors import UserError
from segformer_core.inference.infer import infer
from segformer_core.inference.results import LEGEND_WIDTH, Results
from segformer_core.inference.sources import named
from segformer_core.pace import rounded
from segformer_core.pictures import legend, overlay
from segformer_core.spec.arrays import init_arrays
from segformer_core.weights.store import save_weights


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


def test_a_legend_without_letters_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    settings, lines = InferenceConfig(infer_output_path=str(tmp_path)), []
    for shown in (("left", "right"), ("左", "right")):
        Results([], Classes(shown, CLASSES.colours), settings).write_legend(lines.append)
    (line,) = lines
    assert line.startswith("legend.png shows classes by their numbers: no installed font has 左: install Noto Sans CJK")


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


def test_a_terminal_shows_a_bar_with_rate_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_images(tmp_path / "in", dict([*SIZES.items()][:3]))
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", stream)
        _, lines = run(images, tmp_path / "out", infer_log_interval=2)
        assert [line.partition(" done")[0] for line in lines[1:3]] == ["infer 2/3", "infer 3/3"], "log lines are there either way"
        bar = re.search(r"infer:   0%\|.*\| 0/3 \[00:00<\?, \?image/s\]", stream.getvalue())
        assert bool(bar) is shown and bool(stream.getvalue()) is shown


def test_the_bar_moves_as_images_are_labelled_and_goes_when_a_result_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three images are fewer than the threads that write take at once."""
    images = write_images(tmp_path / "in", dict([*SIZES.items()][:3]))
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    monkeypatch.setattr("segformer_core.inference.infer.tqdm", partial(tqdm, mininterval=0))
    run(images, tmp_path / "out", workers=4)
    moves = re.findall(r"infer: +\d+%\|[^\r]*\| (\d)/3 \[\d+:\d+<\d+:\d+, +[\d.]+(?:image/s|s/image)\]", terminal.getvalue())
    assert moves[:3] == ["1", "2", "3"]
    monkeypatch.setattr("segformer_core.pictures.painting.atomic_write", refuse)
    with pytest.raises(UserError, match="no space"):
        run(images, tmp_path / "out", workers=4)
    assert terminal.getvalue().endswith("\r"), "nothing stands in the line of the error's sentence"


def refuse(*_: object) -> None:
    raise UserError("no space")


@pytest.mark.parametrize(
    ("time_taken", "text"), [(1957.6, "1958"), (57.4, "57"), (10.0, "10"), (9.94, "9.9"), (0.344, "0.34"), (0.0042, "0.0042")]
)
def test_no_time_is_0(time_taken: float, text: str) -> None:
    assert rounded(time_taken) == text


def test_progress_is_logged_in_the_original_repositorys_words(tmp_path: Path) -> None:
    _, lines = run(write_images(tmp_path / "in", dict([*SIZES.items()][:3])), tmp_path / "out", infer_log_interval=2)
    assert lines[0] == f"get image size:3, infer result will save to {tmp_path / 'out'}"
    assert re.fullmatch(r"infer 2/3 done, step cost:[\d.]+ms", lines[1])
    assert re.fullmatch(r"infer 3/3 done, step cost:[\d.]+ms", lines[2])
    assert re.fullmatch(r"all infer process done, cost:[\d.]+s", lines[3])
    assert len(lines) == 4


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
