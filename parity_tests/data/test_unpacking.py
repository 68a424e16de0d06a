"""`segformer unpack_dataset`: a copy that trains to the same bits, resumed, and one sentence for every mistake."""

import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from parity_tests.data.label_files import pillow, with_palette
from parity_tests.data.test_strays import write_city
from parity_tests.folder_dataset import write_folder_dataset
from segformer_core.cli import DONE, USERS_MISTAKE, program
from segformer_core.config.keys import DataConfig
from segformer_core.data import unpacking
from segformer_core.data.dataset import digest_of, read_pair
from segformer_core.data.image_bytes import png_chunks
from segformer_core.data.layout import open_dataset
from segformer_core.data.pipeline import TrainingStream


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current folder, in which `set` is a data set."""
    monkeypatch.chdir(tmp_path)
    write_folder_dataset(Path("set"))
    return tmp_path


def run(*words: str) -> int:
    return program(["unpack_dataset", *words])


def refused(capsys, *words: str) -> str:
    assert run(*words) == USERS_MISTAKE
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and shown.count("\n") == 1
    return shown


def files(root: str) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(Path(root).rglob("*")) if path.is_file()}


def is_compressed(data: bytes) -> bool:
    rows = next(data[start:end] for name, start, end in png_chunks(data) if name == b"IDAT")
    return rows[2] & 6 != 0


def assert_trains_alike(one: str, other: str, split: str = "train") -> None:
    first, second = (open_dataset(root, split) for root in (one, other))
    assert digest_of(first) == digest_of(second), "a run may go on with the copy"
    config = DataConfig(base_size=(64, 96), crop_size=(48, 64))
    streams = [TrainingStream(dataset, config, 0, 2, epochs=3) for dataset in (first, second)]
    assert len(streams[0]) == len(streams[1]) > 0
    for position in range(len(streams[0])):
        for array, copied in zip(streams[0][position], streams[1][position], strict=True):
            assert array.dtype == copied.dtype and np.array_equal(array, copied)


def test_the_copy_has_the_files_and_the_training_of_the_data_set(here, capsys):
    before = files("set")
    assert run("set", "new/fast", "--workers", "2") == DONE
    assert files("set") == before
    said = capsys.readouterr().out.splitlines()
    copy = files("new/fast")
    size = sum(len(data) for name, data in copy.items()) / 1e6
    about = re.fullmatch(r"train, val: 13 files to write, about (.*) MB; .* [GM]B are free", said[0])
    assert said[1].startswith(f"12 unpacked, 1 copied, 0 up to date, 0 failed; {size:.1f} MB written in ")
    assert about is not None and size <= float(about[1]) + 0.05 <= size + 0.12, "what it will need is told before"
    assert copy.keys() == before.keys() and copy["dataset.yaml"] == before["dataset.yaml"]
    pngs = [name for name in copy if name.endswith(".png")]
    assert len(pngs) == 12 and all(is_compressed(before[name]) and not is_compressed(copy[name]) for name in pngs)
    for split in ("train", "val"):
        assert_trains_alike("set", "new/fast", split)


def test_cityscapes_layout(tmp_path, monkeypatch, capsys):
    """What training does not read, and a split without labels, stay behind."""
    monkeypatch.chdir(tmp_path)
    write_city(Path("disk/archive"))
    test = Path("disk/archive/leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png")
    test.parent.mkdir(parents=True)
    shutil.copy(next(Path("disk").rglob("*_leftImg8bit.png")), test)
    label = next(Path("disk").rglob("*_labelTrainIds.png"))
    shutil.copy(label, label.with_name("aachen_000000_000019_gtFine_color.png"))
    assert run("disk", "fast") == DONE
    wanted = files("disk").keys() - {str(test.relative_to("disk")), *(name for name in files("disk") if "color" in name)}
    assert files("fast").keys() == wanted and len(wanted) == 4
    assert capsys.readouterr().out.startswith("train: 4 files to write")
    assert_trains_alike("disk", "fast")


def test_cityscapes_of_two_archives(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for split, images in (("train", "leftImg8bit_trainvaltest"), ("train_extra", "leftImg8bit_trainextra")):
        write_city(Path("disk"), split, images=images, labels="gtFine_trainvaltest")
    assert run("disk", "fast") == DONE
    assert capsys.readouterr().out.startswith("train, train_extra: 8 files to write")
    assert files("fast").keys() == files("disk").keys()
    for split in ("train", "train_extra"):
        assert_trains_alike("disk", "fast", split)


def test_a_split_needs_all_labels_or_none(here, capsys):
    """A training reads the labels that there are: with 0 and 255 alone in train and val, this one says what 255 means."""
    for path in Path("set/labels").rglob("*.png"):
        cv2.imwrite(str(path), np.full((64, 96), (0, 255)[path.stem.endswith("1")], np.uint8))
    for folder, names in (("images", ("a.png", "b.png", "b.jpg")), ("labels", ("a.png",))):
        Path(f"set/{folder}/extra").mkdir()
        for name in names:
            cv2.imwrite(f"set/{folder}/extra/{name}", np.full((64, 96), 2, np.uint8))
    open_dataset("set", "train")
    assert "2 of 3 images of extra have no label; first: set/images/extra/b.jpg" in refused(capsys, "set", "fast")
    assert not Path("fast").exists()
    Path("set/labels/train/train0.png").write_bytes(Path("set/labels/extra/a.png").read_bytes())
    Path("set/labels/extra/a.png").unlink()
    assert run("set", "fast") == DONE
    assert not Path("fast/images/extra").exists()
    assert_trains_alike("set", "fast")


def test_a_half_labelled_split_of_cityscapes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        write_city(Path("disk"), split)
    first, second = sorted(Path("disk/gtFine/test").rglob("*.png"))
    second.unlink()
    assert "1 of 2 images of test have no label; the first is disk/" in refused(capsys, "disk", "fast")
    first.rename(first.with_name(first.name.replace("labelTrainIds", "labelIds")))
    assert run("disk", "fast") == DONE
    assert capsys.readouterr().out.startswith("train: 4 files to write")


@pytest.mark.parametrize("written", ["HERE/set/own.yaml", "link.yaml", "set/../set/own.yaml", "link/own.yaml", "set/linked.yaml"])
def test_a_description_in_the_data_set_is_copied_however_its_path_is_written(here, written):
    Path("set/dataset.yaml").rename("set/own.yaml")
    Path("link.yaml").symlink_to("set/own.yaml")
    Path("link").symlink_to("set")
    Path("elsewhere.yaml").write_bytes(Path("set/own.yaml").read_bytes())
    Path("set/linked.yaml").symlink_to("../elsewhere.yaml")
    name = "linked.yaml" if "linked" in written else "own.yaml"
    assert run("set", "new/fast", "--dataset_file", written.replace("HERE", str(here))) == DONE
    copy = files("new/fast")
    assert [path for path in copy if path.endswith(".yaml")] == [name] and copy[name] == files("set")["own.yaml"]
    assert len(copy) == 13


def test_a_copy_on_a_disk_that_keeps_even_seconds_is_up_to_date(here, capsys):
    """As FAT does."""
    for path in Path("set").rglob("*.*"):
        os.utime(path, (1_700_000_001.9, 1_700_000_001.9))
    assert run("set", "fast") == DONE
    for path in Path("fast").rglob("*.*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    assert run("set", "fast") == DONE
    assert "\n0 unpacked, 0 copied, 13 up to date, 0 failed" in capsys.readouterr().out


def test_a_data_set_that_is_emptied_meanwhile_is_no_copy_of_nothing(here, monkeypatch, capsys):
    Path("set/images").rename("set/later")
    monkeypatch.setattr(unpacking, "open_dataset", lambda *_: None)
    assert "set has no split with labels; give a data set that" in refused(capsys, "set", "fast")


def test_every_kind_of_file(here, capsys):
    """Labels with a palette, a JPEG, 16 bits, a list of names, other folders; and files that belong to no split."""
    root = Path("mixed")
    for name in ("photos", "masks"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = {"a.jpg": np.uint8, "b.png": np.uint16, "c.png": np.uint8, "d.tif": np.uint8, "e.png": np.uint8}
    for name, kind in images.items():
        values = rng.integers(0, np.iinfo(kind).max, (64, 96, 3), kind, endpoint=True)
        cv2.imwrite(str(root / "photos" / name), values)
        (root / "masks" / f"{name[0]}_mask.png").write_bytes(pillow(with_palette(rng.integers(0, 3, (64, 96))), "PNG"))
    (root / "names.txt").write_text("a\nb\nc.png\nd\n")
    split = "{images: photos, labels: masks, list: names.txt}"
    (root / "own.yaml").write_text(
        f"classes: [x, y, z]\nlabel_form: indices\nlabel_suffix: _mask.png\nsplits: {{train: {split}}}\n"
    )
    assert run("mixed", "fast", "--dataset_file", "mixed/own.yaml") == DONE
    assert "\n6 unpacked, 4 copied" in capsys.readouterr().out
    before, copy = files("mixed"), files("fast")
    assert copy.keys() == before.keys() - {"photos/e.png", "masks/e_mask.png"}
    assert all(copy[name] == before[name] for name in ("photos/a.jpg", "photos/d.tif", "names.txt", "own.yaml"))
    for item, copied in zip(*(open_dataset(path, "train", f"{path}/own.yaml").items for path in ("mixed", "fast")), strict=True):
        dataset = open_dataset("mixed", "train", "mixed/own.yaml")
        for array, other in zip(read_pair(item, dataset.classes), read_pair(copied, dataset.classes), strict=True):
            assert np.array_equal(array, other)


@pytest.mark.parametrize("later", [-(10**12), 3 * 10**9], ids=["of an older time", "of a newer one"])
def test_the_next_run_finishes_and_takes_what_changed(here, later, capsys):
    assert run("set", "fast") == DONE
    want = files("fast")
    times = {path: path.stat().st_mtime_ns for path in Path("fast").rglob("*.png")}
    Path("fast/images/train/train2.png").unlink()
    changed = Path("set/labels/val/val0.png")
    time = changed.stat().st_mtime_ns + later
    cv2.imwrite(str(changed), np.ones((64, 96), np.uint8))
    os.utime(changed, ns=(time, time))
    assert run("set", "fast") == DONE
    said = capsys.readouterr().out
    assert "\n2 unpacked, 0 copied, 11 up to date, 0 failed" in said
    again = files("fast")
    assert again.keys() == want.keys(), "no temporary file stays"
    assert [name for name in want if again[name] != want[name]] == ["labels/val/val0.png"]
    assert np.array_equal(cv2.imread("fast/labels/val/val0.png", cv2.IMREAD_UNCHANGED), np.ones((64, 96)))
    assert {path for path in times if path.stat().st_mtime_ns != times[path]} == {Path("fast/labels/val/val0.png")}


def test_an_ended_run_leaves_no_half_file(here, monkeypatch, capsys):
    def half(data: bytes, other: bytes, source: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(unpacking, "check_same_pixels", half)
    assert run("set", "fast", "--workers", "1") == 130
    assert files("fast").keys() <= {"dataset.yaml"}
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert run("set", "fast") == DONE
    assert_trains_alike("set", "fast")


def test_broken_files_are_named_and_the_rest_is_done(here, capsys):
    whole = Path("set/images/train/train1.png").read_bytes()
    Path("set/images/train/train1.png").write_bytes(whole[:-100])
    Path("set/labels/val/val0.png").write_bytes(whole[:60] + bytes(len(whole) - 80) + whole[-20:])
    Path("set/images/val/val1.png").unlink()
    os.mkfifo("set/images/val/val1.png")
    shown = refused(capsys, "set", "fast")
    assert "set/images/train/train1.png is empty or truncated" in shown
    assert "set/labels/val/val0.png" in shown and "set/images/val/val1.png is a named pipe; expected a file" in shown
    assert len(files("fast")) == 10


def test_pixels_that_come_back_otherwise_are_not_kept(here, monkeypatch, capsys):
    real = unpacking.unpacked
    other = real(Path("set/images/train/train0.png").read_bytes(), Path("x"))
    monkeypatch.setattr(unpacking, "unpacked", lambda data, source: other if source.stem == "train1" else real(data, source))
    shown = refused(capsys, "set", "fast")
    assert "set/images/train/train1.png gave other pixels when its copy was read back; replace it" in shown
    assert "images/train/train1.png" not in files("fast") and len(files("fast")) == 11


def test_too_little_room_is_told_before_anything_is_written(here, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000))
    shown = refused(capsys, "set", "new/fast")
    assert shown == "error: new/fast needs 0.2 MB and its disk has 0.1 MB free; free some space or choose another place\n"
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["set", "set"], "set lies in set; choose a folder outside of set for the copy"),
        (["set", "set/images/fast"], "set/images/fast lies in set; choose a folder outside of set for the copy"),
        (["set", "link/fast"], "link/fast lies in set; choose"),
        (["set", "."], "set lies in .; choose a folder outside of set for the copy"),
        (["set", "used"], "used holds 1 file that the copy would not have, such as notes/x.txt; remove them, or choose a new"),
        (
            ["set", "shared"],
            "shared/images/train/train0.png is set/images/train/train0.png itself, by a link; choose a new folder",
        ),
        (["set", "file"], "cannot write in folder file"),
        (["none", "fast"], "no such data path: none; give the dataset's folder"),
        (["set", "fast", "--dataset_file", "set/own2.yaml"], "no images in set/nowhere; expected files ending in"),
        (["plain", "fast"], "plain is no dataset: expected"),
        (["unlabelled", "fast"], "1 of 4 images of train have no label; first: unlabelled/images/train/train3.png"),
        (
            ["absolute", "fast"],
            "absolute/dataset.yaml names /elsewhere; expected paths relative to absolute, which a copy has as",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(here, words, sentence, capsys):
    Path("link").symlink_to("set")
    Path("file").write_text("x")
    Path("set/own2.yaml").write_text("classes: [x, y]\nsplits: {val: {images: nowhere, labels: labels/val}}\n")
    for name in ("plain", "used/notes", "shared"):
        Path(name).mkdir(parents=True)
    Path("used/notes/x.txt").write_text("x")
    Path("shared/images").symlink_to("../set/images")
    for name in ("unlabelled", "absolute"):
        shutil.copytree("set", name)
    Path("unlabelled/labels/train/train3.png").unlink()
    with Path("absolute/dataset.yaml").open("a") as file:
        file.write(
            "splits: {train: {images: images/train, labels: labels/train}, val: {images: /elsewhere, labels: labels/val}}\n"
        )
    before = files(".")
    assert sentence in refused(capsys, *words)
    assert files(".") == before
