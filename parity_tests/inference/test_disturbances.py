"""What happens to images and folders while infer runs, and files that are there beside images."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.inference.halves import CLASSES, Halves, segmenter
from segformer_core.config.keys import InferenceConfig
from segformer_core.errors import DataError, UserError
from segformer_core.files import temporary_name
from segformer_core.inference import sources as sources_module
from segformer_core.inference.infer import Incomplete, infer
from segformer_core.inference.results import Results
from segformer_core.inference.sources import find_sources, named
from segformer_core.inference.video import video_writer

ENDINGS = ("_gray.png", "_color.png", "_overlap.png")


def write_images(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(cv2.imencode(".png", np.full((32, 40, 3), 90, np.uint8))[1].tobytes())
    return [folder / name for name in names]


def run(images: list[Path], output: Path, during: Callable[[int], None] = lambda _: None, workers: int = 2) -> list[str]:
    """Infer; `during` is called with the number of each image that the network labels, from 0. Returns the log."""

    class Disturbed(Halves):
        def predict(self, *arguments):
            during(self.calls)
            return super().predict(*arguments)

    lines: list[str] = []
    settings = InferenceConfig(infer_output_path=str(output))
    results = Results(named((image, Path(image.name)) for image in images), CLASSES, settings)
    try:
        infer(segmenter(Disturbed(), workers), results, settings.infer_log_interval, lines.append)
    except Incomplete as error:
        lines.append(str(error))
    return lines


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("workers", [0, 2])
def test_images_that_vanish_cost_themselves_alone(tmp_path: Path, workers: int) -> None:
    images = write_images(tmp_path / "in", *(f"{index:02d}.png" for index in range(30)))

    def vanish(number: int) -> None:
        if number == 3:
            for image in images[3:20]:  # some are read already, others are not
                image.unlink()

    lines = run(images, tmp_path / "out", vanish, workers)
    assert lines[-1].startswith("17 of 30 files could not be read: ") and lines[-1].endswith(
        " and 7 more; everything else is done"
    )
    assert f"cannot copy {images[3]}: No such file or directory; its other results are written" in lines
    assert f"cannot read {images[19]}: No such file or directory" in lines
    for image in images[:3] + images[20:]:
        assert {f"{image.stem}{ending}" for ending in ENDINGS} | {image.name} <= names(tmp_path / "out")
    assert not any(name.startswith(".") for name in names(tmp_path / "out")), "no temporary file is left"


def test_an_image_whose_permission_is_taken_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read anything, so the system's refusal is acted."""
    images = write_images(tmp_path / "in", "a.png", "b.png")
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path == images[0]:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    lines = run(images, tmp_path / "out")
    assert f"cannot read {images[0]}: Permission denied" in lines
    assert lines[-1] == f"1 of 2 files could not be read: {images[0]}; everything else is done"


def test_an_image_replaced_by_a_pipe_costs_itself_alone(tmp_path: Path) -> None:
    images = write_images(tmp_path / "in", "a.png", "b.png")
    images[0].unlink()
    os.mkfifo(images[0])
    assert f"{images[0]} is a named pipe; expected a file" in run(images, tmp_path / "out")
    assert "b_gray.png" in names(tmp_path / "out")


def test_a_pipe_with_a_videos_ending_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.mp4")
    assert f"{tmp_path}/x.mp4 is a named pipe; expected a file" in run([tmp_path / "x.mp4"], tmp_path / "out")


def test_an_output_folder_that_is_removed_ends_the_run_in_a_sentence(tmp_path: Path) -> None:
    images = write_images(tmp_path / "in", *(f"{index}.png" for index in range(9)))

    def remove(number: int) -> None:
        if number == 4:
            shutil.move(tmp_path / "out", tmp_path / "moved")

    with pytest.raises(UserError, match=rf"^folder {tmp_path}/out was removed while its results were written; start again$"):
        run(images, tmp_path / "out", remove, workers=0)
    assert not (tmp_path / "out").exists() and "0_gray.png" in names(tmp_path / "moved")


def test_a_videos_output_folder_that_is_removed_ends_the_run_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(UserError, match=r"cannot write .*x\.mp4: No such file or directory; its folder was removed or moved"),
        video_writer(tmp_path / "out/x.mp4", 10.0, (32, 32)) as write,
    ):
        shutil.rmtree(tmp_path / "out")
        write(np.zeros((32, 32, 3), np.uint8))


@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_name_too_long_for_its_results_costs_that_image(tmp_path: Path, letter: str) -> None:
    long = letter * (246 // len(letter.encode())) + ".png"
    assert len(long.encode()) == 250
    images = write_images(tmp_path / "in", long, "short.png")
    lines = run(images, tmp_path / "out")
    assert lines[-1] == f"1 of 2 files could not be read: {images[0]}; everything else is done"
    [line] = [line for line in lines if line.startswith(f"{images[0]} has a name of 250 bytes; expected at most ")]
    assert {f"short{ending}" for ending in ENDINGS} | {"short.png", "legend.png"} == names(tmp_path / "out")
    fits = int(line.split("at most ")[1].split(":")[0])
    longest = write_images(tmp_path / "in", "b" * (fits - 4) + ".png")
    assert run(longest, tmp_path / "out")[-1].startswith("all infer process done"), "the length that is named is enough"
    assert len(temporary_name(tmp_path / f"{longest[0].stem}{ENDINGS[2]}", f"{os.getpid()}-frames").name) == 255


def test_the_names_are_short_before_the_network_runs(tmp_path: Path) -> None:
    images = write_images(tmp_path / "in", "a" * 246 + ".png")
    calls: list[int] = []
    run(images, tmp_path / "out", calls.append)
    assert calls == []


def strew(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_what_systems_leave_beside_images_is_passed_over_without_a_word(tmp_path: Path) -> None:
    strew(
        tmp_path,
        "x.png",
        "._x.png",
        "Thumbs.db",
        "desktop.ini",
        "__MACOSX/x.png",
        "__MACOSX/._x.png",
        "@eaDir/x.jpg",
        ".DS_Store",
    )
    found, _, note = find_sources(str(tmp_path), "", tmp_path / "out")
    assert [source.name for source in found] == ["x"] and note == ""


def test_files_of_other_kinds_are_counted(tmp_path: Path) -> None:
    strew(tmp_path, "x.png", *(f"a/{index}.heic" for index in range(9)), "b.HEIC", "c.gif", "d.gif", "out/e.avif", "NOTES")
    for pattern in (str(tmp_path), f"{tmp_path}/**"):
        found, _, note = find_sources(pattern, "", tmp_path / "out")
        assert [source.name for source in found] == ["x"]
        assert note == ("passed over 13 files of kinds that cannot be read: 10 .heic, 2 .gif, 1 without an ending")
    assert find_sources(f"{tmp_path}/*.png", "", tmp_path / "out")[2] == "", "a pattern asks for its own files alone"


def test_a_folder_of_other_kinds_alone_is_told_what_it_holds(tmp_path: Path) -> None:
    strew(tmp_path, "a.heic", "b.nef")
    with pytest.raises(DataError, match=r"no images or videos at .*; passed over 2 files .*: 1 \.heic, 1 \.nef$"):
        find_sources(str(tmp_path), "", tmp_path / "out")


def test_a_pipe_as_data_path_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png is a named pipe; expected a dataset, a file"):
        find_sources(str(tmp_path / "pipe.png"), "", tmp_path / "out")
    with pytest.raises(DataError, match="/dev/null is a device"):
        find_sources("/dev/null", "", tmp_path / "out")


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strew(tmp_path, "x.png", "closed/y.png")
    monkeypatch.setattr(sources_module.os, "access", lambda path, _: path != tmp_path / "closed")
    with pytest.raises(DataError, match=rf"cannot read folder {tmp_path}/closed: Permission denied; change its permissions"):
        find_sources(str(tmp_path), "", tmp_path / "out")


def test_names_that_cannot_be_shown_are_escaped(tmp_path: Path) -> None:
    """A name may hold a line end, or bytes that are no UTF-8."""
    folder = tmp_path / "in"
    folder.mkdir()
    good = cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    for name, data in ((b"two\nlines.png", b"no image"), (b"latin\xe9.png", good), (b"\xff.png", good[:50])):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(data)
    found, _, _ = find_sources(str(folder), "", tmp_path / "out")
    lines = run([source.path for source in found], tmp_path / "out", workers=0)
    assert all("\n" not in line and line.encode() for line in lines)
    assert any(r"two\nlines.png is damaged" in line for line in lines)
    assert lines[-1] == (
        rf"2 of 3 files could not be read: {folder}/two\nlines.png, {folder}/\udcff.png; everything else is done"
    )
    assert os.fsdecode(b"latin\xe9_gray.png") in names(tmp_path / "out")
