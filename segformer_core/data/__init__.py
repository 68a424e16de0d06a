"""Datasets on disk, their layouts, and how a training sample is made of them."""

from pathlib import Path

from segformer_core.data import cityscapes, folder
from segformer_core.data.dataset import Dataset
from segformer_core.errors import DataError


def open_dataset(data_path: str, split: str, dataset_file: str = "", with_labels: bool = True) -> Dataset:
    """The `train` or `val` images below `data_path`, in the Cityscapes or the folder layout. Raises DataError."""
    root = Path(data_path)
    if not root.is_dir():
        raise DataError(f"no such data path: {root}; give the dataset's folder as --data_path")
    described = folder.find_description(root, dataset_file)
    if described is not None:
        classes, items = folder.read_classes(described), folder.find_items(root, split, with_labels)
    elif (root / cityscapes.IMAGES).is_dir():
        classes, items = cityscapes.CLASSES, cityscapes.find_items(root, split, with_labels)
    else:
        raise DataError(
            f"{root} is no dataset: expected Cityscapes' folders {cityscapes.IMAGES} and {cityscapes.LABELS}, or images/{split}, "
            f"labels/{split} and a {folder.DESCRIPTION} (or --dataset_file)"
        )
    return Dataset(root, split, classes, items)
