"""Which pairs, faults and notes the survey finds in the layouts on disk."""

from pathlib import Path

import numpy as np
import pytest

from parity_tests.survey.made import dataset, describe, write
from segformer_core.data.cityscapes import CLASSES
from segformer_core.survey.splits import Layout, find_layout


def numbers(layout: Layout) -> dict[str, int]:
    return {split.name: len(split.pairs) for split in layout.splits}


def cityscapes(root: Path, split: str, images: int, labels: int) -> None:
    for index in range(images):
        stem = f"{split}/aachen/aachen_{index:06d}_000019"
        for folder, ending in (("leftImg8bit", "_leftImg8bit.png"), ("gtFine", "_gtFine_labelTrainIds.png")):
            path = root / folder / f"{stem}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder == "leftImg8bit" or index < labels:
                write(path, np.zeros((8, 16) if folder == "gtFine" else (8, 16, 3), np.uint8))


def test_cityscapes_whose_test_split_has_no_labels(tmp_path: Path) -> None:
    for split, labels in (("train", 3), ("val", 2), ("test", 0)):
        cityscapes(tmp_path, split, max(labels, 2), labels)
    layout = find_layout(str(tmp_path))
    assert numbers(layout) == {"train": 3, "val": 2} and layout.classes == CLASSES and layout.description is None
    assert layout.labels == "labels: class indices, stored as 8-bit gray PNG; ignored: 255"


def test_cityscapes_with_an_image_that_has_no_labels(tmp_path: Path) -> None:
    cityscapes(tmp_path, "train", 3, 2)
    (split,) = find_layout(str(tmp_path)).splits
    assert split.faults[0].startswith("1 of 3 images of train have no label; the first is ")


def test_lists_in_the_way_of_pascal_voc(tmp_path: Path) -> None:
    """One folder of images and one of labels for both splits; images in no list count nowhere."""
    for name in ("a", "b", "c", "d"):
        for folder, pixels in (("JPEGImages", np.zeros((6, 7, 3), np.uint8)), ("SegmentationClass", np.zeros((6, 7), np.uint8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            write(tmp_path / folder / f"{name}.png", pixels)
    (tmp_path / "SegmentationClass/c.png").unlink()
    (tmp_path / "train.txt").write_text("a\nc\n")
    (tmp_path / "val.txt").write_text("b\n")
    places = "images: JPEGImages, labels: SegmentationClass"
    describe(tmp_path, f"classes: [x, y]\nsplits:\n  train: {{{places}, list: train.txt}}\n  val: {{{places}, list: val.txt}}\n")
    layout = find_layout(str(tmp_path))
    train, val = layout.splits
    assert numbers(layout) == {"train": 1, "val": 1}
    assert len(train.faults) == 1 and "c.png, expected" in train.faults[0] and not val.faults and not train.notes


@pytest.mark.parametrize("described", [True, False])
def test_twins_are_a_fault_and_the_rest_is_read(tmp_path: Path, described: bool) -> None:
    root = dataset(tmp_path / "mine")
    write(root / "images/train/train_a.bmp", np.zeros((64, 96, 3), np.uint8))
    if not described:
        (root / "dataset.yaml").unlink()
    layout = find_layout(str(root))
    assert numbers(layout) == {"train": 7, "val": 3}
    assert len(layout.splits[0].faults) == 1 and "have one name and would have one label" in layout.splits[0].faults[0]
    assert (layout.named is None) == (not described)
