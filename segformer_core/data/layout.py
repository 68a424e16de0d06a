"""Opens the dataset at `data_path`: finds out which layout and which classes it has."""

from collections.abc import Callable
from pathlib import Path

from segformer_core.data import cityscapes, folder
from segformer_core.data.dataset import Classes, Dataset, Found
from segformer_core.data.listing import is_folder, is_junk
from segformer_core.errors import DataError

ItemFinder = Callable[[Path, str, bool], Found]
"""(root, split, with labels) -> the items of one split. Raises DataError."""


def open_dataset(data_path: str, split: str, dataset_file: str = "", with_labels: bool = True) -> Dataset:
    """The `train` or `val` images below `data_path`, in the Cityscapes or the folder layout. Raises DataError."""
    root = Path(data_path)
    if not is_folder(root):
        raise DataError(f"no such data path: {root}; give the dataset's folder as --data_path")
    described = folder.find_description(root, dataset_file) is not None
    find_items = folder.find_items if described else find_layout(root, split) or _deeper_layout(root, split)
    if find_items is None or (find_items is folder.find_items and not described):
        raise DataError(
            f"{root} is no dataset: expected Cityscapes' folders {cityscapes.IMAGES} and {cityscapes.LABELS}, or "
            f"{folder.IMAGES}/{split}, {folder.LABELS}/{split} and a {folder.DESCRIPTION} (or --dataset_file){_elsewhere(root)}"
        )
    found = find_items(root, split, with_labels)
    for item in found.items:
        if not _is_utf8(item.name):  # results and reports are UTF-8
            raise DataError(f"{item.image} has a name that is no UTF-8; rename it")
    return Dataset(root, split, find_classes(root, dataset_file), *found)


def find_layout(root: Path, split: str) -> ItemFinder | None:
    """The item finder of the layout whose image folder exists; None if neither does. Raises DataError."""
    archive = cityscapes.find_folder(root, cityscapes.IMAGES, split)
    if archive and (archive.parent == root or archive.parent.name.startswith(cityscapes.IMAGES)):
        return cityscapes.find_items
    return folder.find_items if is_folder(root / folder.IMAGES / split) else None


def _is_utf8(name: str) -> bool:
    """Python holds the other bytes of a file's name as surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _deeper_layout(root: Path, split: str) -> ItemFinder | None:
    """The finder of a Cityscapes that lies in the only folder of `root` that holds one."""
    return cityscapes.find_items if cityscapes.find_folder(root, cityscapes.IMAGES, split) else None


def _elsewhere(root: Path) -> str:
    """Where a dataset lies that was unpacked deeper, as the end of a sentence."""
    for pattern in (f"*/{folder.DESCRIPTION}", f"*/*/{folder.DESCRIPTION}", f"*/*/{cityscapes.IMAGES}"):
        found = sorted(path.parent for path in root.glob(pattern) if not is_junk(path.relative_to(root)))
        if found:
            return f"; there is one in {found[0]}: give that as data_path"
    return ""


def find_classes(root: Path, dataset_file: str) -> Classes:
    """The classes in the dataset's description; Cityscapes' if it has none. Raises UserError."""
    description = folder.find_description(root, dataset_file)
    return folder.read_classes(description) if description else cityscapes.CLASSES
