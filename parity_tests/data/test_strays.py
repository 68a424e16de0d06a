"""Files that do not belong in a dataset, datasets that lie deeper, and label id images without polygons."""

import json
import os
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.folder_dataset import write_folder_dataset
from segformer_core.data import listing
from segformer_core.data.conversion import convert, convert_all, find_annotations
from segformer_core.data.layout import find_layout, open_dataset
from segformer_core.errors import DataError

APPLE_DOUBLE = struct.pack(">II", 0x00051607, 0x00020000) + bytes(200)
"""What macOS stores beside a file, under its name after `._`, on a disk that is not its own."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder_dataset(tmp_path / "set")


def write_city(
    root: Path, split: str = "train", annotation: str = "labelTrainIds.png", images: str = "", labels: str = ""
) -> Path:
    """Two images in Cityscapes' layout; `images` and `labels` are the folders between `root` and leftImg8bit, gtFine."""
    for index in range(2):
        stem = f"aachen_{index:06d}_000019"
        image = root / images / "leftImg8bit" / split / "aachen" / f"{stem}_leftImg8bit.png"
        label = root / labels / "gtFine" / split / "aachen" / f"{stem}_gtFine_{annotation}"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), np.full((32, 64, 3), 90, np.uint8))
        if annotation.endswith(".json"):
            names = ["road", "car", "license plate", "rail track", "ego vehicle", "bicycle"]
            squares = [{"label": name, "polygon": [[9 * i, 2], [9 * i + 8, 2], [9 * i + 8, 20]]} for i, name in enumerate(names)]
            label.write_text(json.dumps({"imgHeight": 32, "imgWidth": 64, "objects": squares}))
        else:
            cv2.imwrite(str(label), np.full((32, 64), 7, np.uint8))
    return root


def scatter(folder: Path) -> None:
    """What macOS, Windows and a storage server leave in `folder`, by the names of the files that are there."""
    for path in [*folder.iterdir()]:
        (folder / f"._{path.name}").write_bytes(APPLE_DOUBLE)
        for name in ("__MACOSX", "@eaDir"):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / f"._{path.name}").write_bytes(APPLE_DOUBLE)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        (folder / name).write_bytes(b"junk")


def test_what_systems_leave_in_a_folder_dataset_is_no_image(folder: Path) -> None:
    before = open_dataset(str(folder), "train")
    for place in ("", "images", "labels", "images/train", "labels/train"):
        scatter(folder / place)
    assert open_dataset(str(folder), "train") == before and before.note == ""


def test_what_systems_leave_in_cityscapes_is_no_image(tmp_path: Path) -> None:
    root = write_city(tmp_path, annotation="polygons.json")
    for place in (
        "",
        "leftImg8bit",
        "gtFine",
        "leftImg8bit/train",
        "gtFine/train",
        "leftImg8bit/train/aachen",
        "gtFine/train/aachen",
    ):
        scatter(root / place)
    annotations = find_annotations(root)
    assert [path.name[:13] for path in annotations] == ["aachen_000000", "aachen_000001"]
    assert all(result.converted for result in convert_all(annotations, processes=1))
    dataset = open_dataset(str(root), "train")
    assert [item.name[:13] for item in dataset.items] == ["aachen_000000", "aachen_000001"] and dataset.note == ""


def test_files_that_are_no_images_are_counted(folder: Path) -> None:
    images = folder / "images/train"
    for name in ("a.heic", "b.HEIC", "c.gif", "d.cr2", "README"):
        (images / name).touch()
    (images / "more").mkdir()
    assert open_dataset(str(folder), "train").note == (
        f"passed over 6 files in {images} of kinds that cannot be read: 2 .heic, 1 .cr2, 1 .gif, 1 folder(s), 1 without an ending"
    )
    assert len(open_dataset(str(folder), "train")) == 4 and open_dataset(str(folder), "val").note == ""


def test_a_dataset_of_other_images_alone_is_told_what_it_holds(folder: Path) -> None:
    for path in (folder / "images/train").iterdir():
        path.rename(path.with_suffix(".heic"))
    with pytest.raises(DataError, match=r"no images in .*; expected files ending in .*; passed over 4 files .*: 4 \.heic"):
        open_dataset(str(folder), "train")


def test_cityscapes_files_of_other_names_are_counted(tmp_path: Path) -> None:
    root = write_city(tmp_path)
    (root / "leftImg8bit/train/aachen/aachen_000007_000019_leftImg8bit.jpg").touch()
    note = open_dataset(str(root), "train").note
    assert note.endswith("leftImg8bit/train without the ending _leftImg8bit.png: 1 .jpg") and note.startswith(
        "passed over 1 file "
    )


def test_upper_case_endings_are_read(folder: Path) -> None:
    for kind in ("images", "labels"):
        (folder / kind / "train/train1.png").rename(folder / kind / "train/train1.PNG")
    assert [item.label.name for item in open_dataset(str(folder), "train").items][1] == "train1.PNG"


def test_a_name_that_is_no_utf8_is_refused(folder: Path) -> None:
    for kind in ("images", "labels"):
        os.rename(folder / kind / "train/train1.png", os.fsencode(folder / kind / "train") + b"/latin\xe9.png")
    with pytest.raises(DataError, match=r"latin\\udce9\.png has a name that is no UTF-8; rename it") as raised:
        open_dataset(str(folder), "train")
    assert str(raised.value).encode()


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        (".tif", r"; there is .*train1\.tif: if that is its label, write label_suffix: \.tif in dataset\.yaml$"),
        ("_mask.png", r"; there is .*train1_mask\.png: if that is its label, write label_suffix: _mask\.png in dataset\.yaml$"),
        (".jpg", r"train1\.jpg is none: save it as a gray \.png$"),
        (".npy", r"train1\.npy is none: save it as a gray \.png$"),
        ("0_mask.png", r"labels/train/train1\.png$"),
    ],
)
def test_a_label_with_another_ending_is_named(folder: Path, ending: str, message: str) -> None:
    (folder / "labels/train/train1.png").rename(folder / f"labels/train/train1{ending}")
    with pytest.raises(DataError, match=rf"1 of 4 images of train have no label; .*train1\.png.*{message}"):
        open_dataset(str(folder), "train")


def test_a_pipe_instead_of_a_label_is_named(folder: Path) -> None:
    (folder / "labels/train/train1.png").unlink()
    os.mkfifo(folder / "labels/train/train1.png")
    with pytest.raises(DataError, match=r"labels/train/train1\.png is none: save it"):
        open_dataset(str(folder), "train")


def test_links_are_followed_and_loops_are_no_images(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "images/train", tmp_path / "elsewhere")
    (folder / "images/train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "elsewhere/loop")
    assert len(open_dataset(str(folder), "train")) == 4


def test_a_folder_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(listing.os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cannot read folder .*images/train: Permission denied; give another or change"):
        open_dataset(str(folder), "train")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("leftImg8bit_trainvaltest", "gtFine_trainvaltest"),
        ("cityscapes", "cityscapes"),
        ("leftImg8bit", "gtFine"),
        ("", "gtFine_trainvaltest"),
    ],
)
def test_cityscapes_unpacked_a_level_too_deep_is_found(tmp_path: Path, images: str, labels: str) -> None:
    root = write_city(tmp_path, annotation="polygons.json", images=images, labels=labels)
    (root / "__MACOSX/leftImg8bit/train").mkdir(parents=True)
    with pytest.raises(DataError, match=rf"convert_dataset {root}$"):
        open_dataset(str(root), "train")
    assert all(convert(path).converted for path in find_annotations(root))
    dataset = open_dataset(str(root), "train")
    assert len(dataset) == 2 and all(item.label.is_file() for item in dataset.items)


def test_of_two_copies_of_cityscapes_one_must_be_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_city(tmp_path, images=name, labels=name)
    with pytest.raises(
        DataError, match=r"holds .*one/leftImg8bit and .*two/leftImg8bit; give the folder of the one that you mean"
    ):
        open_dataset(str(tmp_path), "train")


def test_of_two_copies_the_one_with_the_split_is_meant(tmp_path: Path) -> None:
    write_city(tmp_path, "train", images="leftImg8bit_trainvaltest", labels="gtFine_trainvaltest")
    write_city(tmp_path, "train_extra", images="leftImg8bit_trainextra", labels="gtFine_trainvaltest")
    assert len(open_dataset(str(tmp_path), "train")) == 2


def test_a_dataset_two_levels_deeper_is_pointed_to(tmp_path: Path) -> None:
    write_city(tmp_path / "a/b")
    with pytest.raises(DataError, match=rf"is no dataset: .*; there is one in {tmp_path}/a/b: give that as data_path$"):
        open_dataset(str(tmp_path), "train")
    write_folder_dataset(tmp_path / "camvid")
    with pytest.raises(DataError, match=rf"; there is one in {tmp_path}/camvid: give that as data_path$"):
        open_dataset(str(tmp_path), "train")


def test_images_around_a_dataset_are_not_forgotten_by_infer(tmp_path: Path) -> None:
    """A folder of pictures in which some project keeps a Cityscapes is a folder of pictures."""
    write_city(tmp_path, "val", images="project", labels="project")
    assert find_layout(tmp_path, "val") is None
    write_city(tmp_path, "val", images="leftImg8bit_trainvaltest", labels="gtFine_trainvaltest")
    shutil.rmtree(tmp_path / "project")
    assert find_layout(tmp_path, "val") is not None


def test_label_ids_become_the_train_ids_of_the_polygons(tmp_path: Path) -> None:
    from cityscapesscripts.preparation.json2labelImg import json2labelImg

    root = write_city(tmp_path / "polygons", annotation="polygons.json")
    copy = write_city(tmp_path / "ids", annotation="labelIds.png")
    for source, target in zip(find_annotations(root), find_annotations(copy), strict=True):
        json2labelImg(str(source), str(target), "ids")
    with pytest.raises(DataError, match="2 of 2 images of train have no _gtFine_labelTrainIds.png .*convert_dataset"):
        open_dataset(str(copy), "train")
    for tree in (root, copy):
        assert all(result.converted for result in convert_all(find_annotations(tree), processes=1))
    for got, want in zip(open_dataset(str(copy), "train").items, open_dataset(str(root), "train").items, strict=True):
        labels = cv2.imread(str(got.label), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(labels, cv2.imread(str(want.label), cv2.IMREAD_UNCHANGED))
        assert {0, 13, 18, 255} == set(np.unique(labels))
    assert not any(convert(path).converted for path in find_annotations(copy)), "up to date"


def test_polygons_come_before_label_ids(tmp_path: Path) -> None:
    for annotation in ("labelIds.png", "polygons.json"):
        write_city(tmp_path, annotation=annotation)
    assert [path.suffix for path in find_annotations(tmp_path)] == [".json", ".json"]


def test_a_label_id_that_does_not_exist_is_named(tmp_path: Path) -> None:
    annotation = find_annotations(write_city(tmp_path, annotation="labelIds.png"))[0]
    cv2.imwrite(str(annotation), np.full((4, 4), 77, np.uint8))
    assert "has label 77 at row 0, column 0; expected a class index 0..33 or the ignore value 255" in convert(annotation).error
    assert list(annotation.parent.glob("*TrainIds*")) == [] and list(annotation.parent.glob(".*")) == []


def test_polygons_that_are_a_pipe_are_not_opened(tmp_path: Path) -> None:
    annotation = find_annotations(write_city(tmp_path, annotation="polygons.json"))[0]
    annotation.unlink()
    os.mkfifo(annotation)
    assert convert(annotation).error == f"{annotation} is a named pipe; expected a file"
    annotation.unlink()
    assert convert(annotation).error == f"cannot read {annotation}: No such file or directory"
