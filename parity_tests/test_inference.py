"""Inference: which images, which files, what is in them, and that no file is ever half written."""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.folder_dataset import CLASSES as NAMES
from parity_tests.folder_dataset import write_folder_dataset
from segformer_core import inference
from segformer_core.config import DataConfig, InferenceConfig
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.data.dataset import Classes
from segformer_core.errors import DataError, UserError
from segformer_core.files import atomic_write, writable_directory
from segformer_core.inference import find_images, infer

CLASSES = Classes(("left", "right"), ((250, 10, 20), (30, 40, 240)))
SIZES = {"wide.png": (30, 70), "tall.jpg": (61, 25), "square.bmp": (40, 40)}


class Halves:
    """Labels the left half 0 and the right half 1, at whatever size is asked for."""

    calls = 0

    def predict(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        self.calls += 1
        assert image.dtype == np.float32 and image.shape[0] == 3
        return np.repeat((np.arange(width) >= width // 2)[None], height, 0).astype(np.uint8)


def write_images(folder: Path, sizes: dict[str, tuple[int, int]]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for index, (name, size) in enumerate(sizes.items()):
        pixels = np.random.default_rng(index).integers(0, 256, (*size, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / name), pixels)
    return [folder / name for name in sizes]


def run(images: list[Path], output: Path, workers: int = 2, **switches: bool | int) -> tuple[Halves, list[str]]:
    learner, lines = Halves(), []
    data = DataConfig(base_size=(32, 64), dataset_num_parallel_workers=workers)
    settings = InferenceConfig(infer_output_path=str(output), **switches)
    infer(learner, images, CLASSES, data, settings, lines.append)
    return learner, lines


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("workers", [0, 3])
def test_results_have_the_seeds_names_the_images_size_and_its_labels(tmp_path: Path, workers: int) -> None:
    images = write_images(tmp_path / "in", SIZES)
    run(images, tmp_path / "out", workers)
    pictures = {f"{image.stem}{kind}.png" for image in images for kind in ("_gray", "_color", "_overlap")}
    assert names(tmp_path / "out") == pictures | set(SIZES)
    for image in images:
        result = {
            kind: cv2.imread(str(tmp_path / "out" / f"{image.stem}_{kind}.png"), cv2.IMREAD_UNCHANGED)
            for kind in ("gray", "color", "overlap")
        }
        height, width = SIZES[image.name]
        assert result["gray"].shape == (height, width)
        assert (result["gray"][:, : width // 2] == 0).all() and (result["gray"][:, width // 2 :] == 1).all()
        assert (result["color"] == np.array(CLASSES.colours)[result["gray"]][..., ::-1]).all()
        mixed = (cv2.imread(str(image)).astype(float) + result["color"]) / 2
        assert np.abs(result["overlap"] - mixed).max() <= 0.5
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
    assert names(tmp_path / "out") == {"wide_gray.png", "wide_color.png", "wide_overlap.png", "wide.png"} - {file}


def test_progress_is_logged_in_the_seeds_words(tmp_path: Path) -> None:
    _, lines = run(write_images(tmp_path / "in", SIZES), tmp_path / "out", infer_log_interval=2)
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
        (("in/a.png", "in/a.jpg"), r"in/a\.png and .*in/a\.jpg would both be written to .*a_gray\.png"),
        (("in/a.png", "other/a.png"), r"in/a\.png and .*other/a\.png would both be written to .*a_gray\.png"),
        (("in/a_color.png", "in/a.png"), r"would both be written to .*out/a_color\.png"),
        (("out/a.png", "out/a_gray.png"), r"out/a\.png would overwrite the image .*out/a_gray\.png"),
        (("in/a.png", "out/a.png"), r"in/a\.png would overwrite the image .*out/a\.png"),
    ],
)
def test_results_that_would_overwrite_something_are_refused(tmp_path: Path, files: tuple[str, ...], complaint: str) -> None:
    images = [tmp_path / file for file in files]
    for image in images:
        write_images(image.parent, {image.name: (32, 32)})
    before = [image.read_bytes() for image in images]
    learner = Halves()
    settings = InferenceConfig(infer_output_path=str(tmp_path / "out"))
    with pytest.raises(DataError, match=complaint):
        infer(learner, images, CLASSES, DataConfig(), settings, print)
    assert learner.calls == 0
    assert [image.read_bytes() for image in images] == before


def test_an_output_folder_that_cannot_be_written_is_told_before_the_network_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    learner = Halves()
    settings = InferenceConfig(infer_output_path=str(tmp_path / "file" / "out"))
    with pytest.raises(UserError, match=r"cannot write in folder .*file/out: Not a directory; choose another"):
        infer(learner, write_images(tmp_path / "in", SIZES), CLASSES, DataConfig(), settings, print)
    assert learner.calls == 0


def test_an_undecodable_image_is_named(tmp_path: Path) -> None:
    images = write_images(tmp_path / "in", SIZES)
    images[1].write_bytes(b"no image")
    with pytest.raises(DataError, match=r"tall\.jpg is empty or truncated"):
        run(images, tmp_path / "out")


def test_a_failing_write_leaves_no_partial_file_and_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_images(tmp_path / "in", {"wide.png": (30, 70)})
    run(images, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full_disk(path: Path, write: Callable[[Path], object]) -> None:
        def half(temporary: Path) -> None:
            write(temporary)
            temporary.write_bytes(temporary.read_bytes()[:20])
            raise OSError(28, "No space left on device")

        atomic_write(path, half)

    monkeypatch.setattr(inference, "atomic_write", full_disk)
    with pytest.raises(UserError, match=r"cannot write .*wide_gray\.png: No space left on device"):
        run(images, tmp_path / "out")
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


def test_images_come_from_a_dataset_a_folder_or_one_file(tmp_path: Path) -> None:
    root = write_folder_dataset(tmp_path / "shapes")
    images, classes = find_images(str(root), "")
    assert [image.name for image in images] == ["val0.png", "val1.png"]
    assert classes.names == NAMES

    plain = write_images(tmp_path / "plain", SIZES)
    (tmp_path / "plain" / "notes.txt").touch()
    assert find_images(str(tmp_path / "plain"), "") == (sorted(plain), CITYSCAPES)
    assert find_images(str(plain[0]), "") == ([plain[0]], CITYSCAPES)
    assert find_images(str(plain[0]), str(root / "dataset.yaml"))[1].names == NAMES

    city = tmp_path / "city" / "leftImg8bit" / "val" / "ulm"
    scenes = write_images(city, {"ulm_000000_000019_leftImg8bit.png": (32, 64)})
    assert find_images(str(tmp_path / "city"), "") == (scenes, CITYSCAPES)


@pytest.mark.parametrize("path", ["nowhere", "empty"])
def test_no_images_is_a_users_mistake(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=rf"no images found at .*{path}; expected a dataset"):
        find_images(str(tmp_path / path), "")
