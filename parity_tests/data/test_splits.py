"""Where dataset.yaml says the images of each split are: folders, lists of folders, lists of names, endings."""

from pathlib import Path

import numpy as np
import pytest

from parity_tests.data.label_files import png
from segformer_core.data.dataset import Dataset, NoSuchSplit
from segformer_core.data.layout import find_layout, open_dataset
from segformer_core.data.split_files import Files, Places
from segformer_core.errors import DataError
from segformer_core.inference.sources import find_sources

IMAGE, LABEL = png(np.zeros((4, 6, 3), np.uint8)), png(np.ones((4, 6), np.uint8))


def tree(root: Path, description: str, *files: str) -> Path:
    """`root` with a dataset.yaml of two classes, and files that are labels if their folder or name says so."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("\n".join(["a", "", "c.jpg", "photos/d", ""]))
        else:
            path.write_bytes(LABEL if "mask" in name or "gt" in name else IMAGE)
    (root / "dataset.yaml").write_text(f"classes: [ground, disc]\n{description}")
    return root


def pairs(dataset: Dataset) -> dict[str, tuple[str, str]]:
    """Name -> image and label, relative to the root."""
    return {
        item.name: (str(item.image.relative_to(dataset.root)), str(item.label and item.label.relative_to(dataset.root)))
        for item in dataset.items
    }


LAYOUTS = {
    "VOC": (
        "splits: {val: {images: photos, labels: gt, list: val.txt}}",
        [*(f"photos/{name}.jpg" for name in "abcd"), *(f"gt/{name}.png" for name in "acde"), "val.txt"],
        {name: (f"photos/{name}.jpg", f"gt/{name}.png") for name in "acd"},
    ),
    "ADE20K": (
        "splits: {val: {images: images/validation, labels: annotations_gt/validation}}",
        ["images/validation/a.jpg", "annotations_gt/validation/a.png"],
        {"a": ("images/validation/a.jpg", "annotations_gt/validation/a.png")},
    ),
    "cities": (
        """image_suffix: _left.png
label_suffix: _gt_ids.png
splits: {val: {images: [left/bonn, left/ulm], labels: [gt/bonn, gt/ulm]}}""",
        [
            *("left/bonn/b0_left.png", "left/bonn/b0_depth.png", "left/ulm/u0_left.png"),
            *("gt/bonn/b0_gt_ids.png", "gt/bonn/b0_gt_colour.png", "gt/ulm/u0_gt_ids.png"),
        ],
        {
            "b0": ("left/bonn/b0_left.png", "gt/bonn/b0_gt_ids.png"),
            "u0": ("left/ulm/u0_left.png", "gt/ulm/u0_gt_ids.png"),
        },
    ),
    "masks beside the images": (
        "label_suffix: _mask.png\nsplits: {val: {images: flat, labels: flat}}",
        ["flat/a.png", "flat/a_mask.png", "flat/b.png", "flat/b_MASK.PNG"],
        {"a": ("flat/a.png", "flat/a_mask.png"), "b": ("flat/b.png", "flat/b_MASK.PNG")},
    ),
    "two endings in one folder": (
        "image_suffix: .jpg\nsplits: {val: {images: flat_gt, labels: flat_gt}}",
        ["flat_gt/a.jpg", "flat_gt/a.png"],
        {"a": ("flat_gt/a.jpg", "flat_gt/a.png")},
    ),
    "an ending in the usual folders": (
        "label_suffix: _mask.PNG",
        ["images/val/a.jpg", "labels/val/a_mask.png"],
        {"a": ("images/val/a.jpg", "labels/val/a_mask.png")},
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_images_and_labels_are_paired(tmp_path: Path, name: str) -> None:
    description, files, wanted = LAYOUTS[name]
    root = tree(tmp_path, description, *files)
    assert pairs(open_dataset(str(root), "val")) == wanted
    assert [item.name for item in open_dataset(str(root), "val", with_labels=False).items] == list(wanted)


def test_files_that_are_not_of_the_split_are_counted(tmp_path: Path) -> None:
    description, files, _ = LAYOUTS["cities"]
    root = tree(tmp_path, description, *files)
    note = open_dataset(str(root), "val").note
    assert note == f"passed over 1 file in {root}/left/bonn, {root}/left/ulm without the ending _left.png: 1 .png"


def test_an_absolute_folder_may_lie_anywhere(tmp_path: Path) -> None:
    tree(tmp_path / "disk", "", "photos/a.jpg")
    root = tree(tmp_path / "set", f"splits: {{val: {{images: {tmp_path}/disk/photos, labels: gt}}}}", "gt/a.png")
    assert open_dataset(str(root), "val").items[0].image == tmp_path / "disk/photos/a.jpg"


def test_train_and_val_come_first_whichever_splits_there_are(tmp_path: Path) -> None:
    """Their labels decide how all are stored."""
    for name in ("extra", "test", "train", "val"):
        (tmp_path / "images" / name).mkdir(parents=True)
    assert Files().split_names(tmp_path) == ["train", "val", "extra", "test"]
    assert Files(splits={name: Places((), ()) for name in ("a", "val", "z")}).split_names(tmp_path) == ["val", "a", "z"]


ONE = "splits: {train: {images: photos, labels: gt}}"


@pytest.mark.parametrize("endings", ["label_suffix: _mask.png", "image_suffix: .jpg"])
def test_labels_among_the_images_are_not_passed_over(tmp_path: Path, endings: str) -> None:
    label = "_mask.png" if "mask" in endings else ".png"
    root = tree(tmp_path, f"{endings}\nsplits: {{train: {{images: all, labels: all}}}}", "all/a.jpg", f"all/a{label}")
    assert (len(open_dataset(str(root), "train")), open_dataset(str(root), "train").note) == (1, "")
    (root / "all/b.heic").touch()
    assert open_dataset(str(root), "train").note.endswith(": 1 .heic")


MISTAKES = {
    "no such split": (ONE, ["photos/a.jpg", "gt/a.png"], r"the description of .* has no split val; it has train$"),
    "no labels": ("splits: {val: {images: photos}}", ["photos/a.jpg"], "names no labels of split val; add labels: FOLDER to it"),
    "no folder": (ONE.replace("train", "val"), ["gt/a.png"], "no images in .*photos; expected files ending in .png"),
    "no list": (
        ONE.replace("train", "val").replace("gt", "gt, list: no.txt"),
        ["photos/a.jpg"],
        "cannot read .*no.txt, the list",
    ),
    "listed, not there": (
        ONE.replace("train", "val").replace("gt", "gt, list: val.txt"),
        ["photos/a.jpg", "val.txt"],
        r"2 of 3 names in .*val\.txt have no image in .*photos; first: c\.jpg; expected the name of an image in each line",
    ),
    "no label": (
        "splits: {val: {images: photos, labels: [gt, more]}}",
        ["photos/a.jpg", "photos/b.jpg", "gt/b.png"],
        r"1 of 2 images of val have no label; first: .*photos/a\.jpg, expected .*gt/a\.png, or in one of 1 other folders",
    ),
    "one name twice": (
        "splits: {val: {images: [one, two], labels: gt}}",
        ["one/a.jpg", "one/b.jpg", "two/b.jpg", "gt/a.png", "gt/b.png"],
        r"one/b\.jpg and .*two/b\.jpg have one name and would have one label; rename one",
    ),
    "two labels": (
        "",
        ["images/val/a.jpg", "labels/val/a.png", "labels/val/a.PNG"],
        r"a\.PNG and .*a\.png would be labels of one image; remove one of them",
    ),
    "two endings in one folder": (
        "splits: {val: {images: flat_gt, labels: flat_gt}}",
        ["flat_gt/a.jpg", "flat_gt/a.png"],
        r"a\.jpg and .*a\.png have one name .*; rename one, or write the images' ending as image_suffix$",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_where_files_are(tmp_path: Path, name: str) -> None:
    description, files, message = MISTAKES[name]
    with pytest.raises(DataError, match=message) as raised:
        open_dataset(str(tree(tmp_path, description, *files)), "val")
    assert isinstance(raised.value, NoSuchSplit) == (name in ("no such split", "no folder"))


def test_infer_takes_a_data_set_with_splits_for_one_and_its_description_beside_photos_for_names(tmp_path: Path) -> None:
    description, files, _ = LAYOUTS["VOC"]
    root = tree(tmp_path / "set", description, *files)
    tree(tmp_path / "shots", "", "x.jpg")
    assert find_layout(root, "val") and not find_layout(root, "train")
    sources, classes, _ = find_sources(str(root), "", tmp_path / "out")
    assert [source.path.name for source in sources] == ["a.jpg", "c.jpg", "d.jpg"] and classes.names == ("ground", "disc")
    sources, classes, _ = find_sources(str(tmp_path / "shots"), str(root / "dataset.yaml"), tmp_path / "out")
    assert [source.path.name for source in sources] == ["x.jpg"] and classes.names == ("ground", "disc")
