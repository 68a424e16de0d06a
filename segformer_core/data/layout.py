"""Opens the dataset at `data_path`: finds out which layout and which classes it has."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from segformer_core.data import cityscapes, folder
from segformer_core.data.dataset import Classes, Dataset, Found
from segformer_core.data.description import FILE_NAME, find_description, read_classes, read_description
from segformer_core.data.label_form import described, settled
from segformer_core.data.listing import is_folder, is_junk
from segformer_core.data.split_files import IMAGES, LABELS
from segformer_core.errors import DataError

ItemFinder = Callable[[Path, str, bool], Found]
"""(root, split, with labels) -> the items of one split. Raises DataError."""


def open_dataset(
    data_path: str, split: str, dataset_file: str = "", with_labels: bool = True, sibling: Dataset | None = None
) -> Dataset:
    """The images of one split below `data_path`, in the Cityscapes or the folder layout.

    With labels, how they are stored is settled for all splits together; a `sibling`, another split of the same data that was
    opened with labels, knows it already. Raises DataError.
    """
    root = Path(data_path)
    if not is_folder(root):
        raise DataError(f"no such data path: {root}; give the dataset's folder as --data_path")
    file = find_description(root, dataset_file)
    description = None if file is None else read_description(file)
    find_items: ItemFinder | None
    if description:
        find_items = partial(folder.find_items, layout=description.files)
    else:
        find_items = find_layout(root, split) or _deeper_layout(root, split)
    if find_items is None or find_items is folder.find_items:
        raise DataError(
            f"{root} is no dataset: expected Cityscapes' folders {cityscapes.IMAGES} and {cityscapes.LABELS}, or "
            f"{IMAGES}/{split}, {LABELS}/{split} and a {FILE_NAME} (or --dataset_file){_elsewhere(root)}"
        )
    found = find_items(root, split, with_labels)
    for item in found.items:
        if not _is_utf8(item.name):  # results and reports are UTF-8
            raise DataError(f"{item.image} has a name that is no UTF-8; rename it")
    classes = description.classes if description else cityscapes.CLASSES
    if not with_labels:
        return Dataset(root, split, classes, *found)
    if description is None:
        return Dataset(root, split, classes, *found, described(classes, [item.label for item in found.items if item.label]))
    if sibling:
        return Dataset(root, split, sibling.classes, *found, sibling.labels)
    labels = list(folder.label_files(root, description.files))
    classes = settled(classes, labels)
    return Dataset(root, split, classes, *found, described(classes, labels))


def find_layout(root: Path, split: str, dataset_file: str = "") -> ItemFinder | None:
    """The item finder of the layout whose image folder exists; None if neither does. Raises UserError."""
    archive = cityscapes.find_folder(root, cityscapes.IMAGES, split)
    if archive and (archive.parent == root or archive.parent.name.startswith(cityscapes.IMAGES)):
        return cityscapes.find_items
    if is_folder(root / IMAGES / split):
        return folder.find_items
    description = find_description(root, dataset_file)
    if description and read_description(description).files.lies_in(root, split):
        return folder.find_items
    return None


def _is_utf8(name: str) -> bool:
    """Python holds the other bytes of a file's name as surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _deeper_layout(root: Path, split: str) -> ItemFinder | None:
    """The finder of a Cityscapes that lies in the only folder of `root` that holds one."""
    return cityscapes.find_items if cityscapes.find_folder(root, cityscapes.IMAGES, split) else None


def _elsewhere(root: Path) -> str:
    """Where a dataset lies that was unpacked deeper, as the end of a sentence."""
    for pattern in (f"*/{FILE_NAME}", f"*/*/{FILE_NAME}", f"*/*/{cityscapes.IMAGES}"):
        found = sorted(path.parent for path in root.glob(pattern) if not is_junk(path.relative_to(root)))
        if found:
            return f"; there is one in {found[0]}: give that as data_path"
    return ""


def find_classes(root: Path, dataset_file: str) -> Classes:
    """The classes in the dataset's description; Cityscapes' if it has none. Raises UserError."""
    description = find_description(root, dataset_file)
    return read_classes(description) if description else cityscapes.CLASSES
