"""Which layout a folder has, and whose classes."""

from pathlib import Path

import pytest

from parity_tests.folder_dataset import write_folder_dataset
from segformer_core.data import cityscapes, folder
from segformer_core.data.layout import find_classes, find_layout, open_dataset
from segformer_core.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder_dataset(tmp_path / "set")


def test_a_layout_is_told_by_the_split_that_is_asked_for(root):
    (root / "images/val").rename(root / "images/elsewhere")
    assert find_layout(root, "train") is folder.find_items and find_layout(root, "val") is None


def test_without_a_description_cityscapes_folders_come_first(root):
    (root / "dataset.yaml").unlink()
    (root / cityscapes.IMAGES).mkdir()
    assert find_layout(root, "train") is cityscapes.find_items
    with pytest.raises(DataError, match="no images in .*leftImg8bit/train"):
        open_dataset(str(root), "train")


def test_a_description_means_the_folder_layout(root):
    (root / cityscapes.IMAGES).mkdir()
    assert len(open_dataset(str(root), "train")) == 4


def test_a_folder_layout_without_a_description_is_no_dataset(root):
    (root / "dataset.yaml").unlink()
    with pytest.raises(DataError, match="is no dataset: expected Cityscapes' folders .* and a dataset.yaml"):
        open_dataset(str(root), "train")


def test_classes_are_those_described_else_cityscapes(root):
    assert len(find_classes(root, "")) == 3
    (root / "dataset.yaml").unlink()
    assert find_classes(root, "") == cityscapes.CLASSES
