"""Pascal VOC's layout: JPEGImages, SegmentationClass, lists in ImageSets/Segmentation. CVAT and labelme2voc write it, too."""

from collections.abc import Iterable
from pathlib import Path

from segformer_core.data.colours import voc_colour
from segformer_core.data.image_file import IMAGE_SUFFIXES
from segformer_core.data.listing import entries, is_folder, passed_over
from segformer_core.errors import DataError, brief
from segformer_core.making.description import Class, checked_classes, read_colours, read_lines
from segformer_core.making.example import TRAIN, VAL, Example, Found
from segformer_core.making.splitting import listed

IMAGES, LISTS = "JPEGImages", Path("ImageSets", "Segmentation")
MASKS = ("SegmentationClass", "SegmentationClassPNG")
COLOUR_FILE, NAME_FILE = "labelmap.txt", "class_names.txt"
"""What CVAT and labelme2voc write beside them."""
OFFICIAL_FOLDERS = tuple(f"VOC{year}" for year in range(2007, 2013))
NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Of the development kit of VOC2012, in the order of the indices; 255 is the border of the objects."""


def official_classes() -> tuple[Class, ...]:
    return tuple(Class(name, voc_colour(index)) for index, name in enumerate(NAMES))


def find_voc(root: Path) -> Found:
    """The images that the lists name, with their masks. Raises DataError."""
    if not is_folder(root):
        raise DataError(f"no such folder: {root}; give the one that holds {IMAGES}")
    images = _by_name(root / IMAGES)
    folder = next((root / name for name in MASKS if _by_name(root / name)), None)
    if not images or folder is None:
        hint = next((path.parent for path in sorted(root.glob(f"*/{IMAGES}"))), None)
        raise DataError(
            f"{root} has not VOC's layout: expected images in {IMAGES} and masks in {MASKS[0]}"
            + (f"; give {hint}" if hint else "")
        )
    masks = _by_name(folder)
    lists = {path.stem: path for path in entries(root / LISTS) if path.suffix == ".txt"}
    splits = {split: _listed(lists[split], images, masks) for split in (TRAIN, VAL) if split in lists}
    if len(splits) == 2:
        both = sorted(set(splits[TRAIN]) & set(splits[VAL]))
        if both:
            raise DataError(f"{lists[TRAIN]} and {lists[VAL]} both list {both[0]}; expected each image in one of them")
        named = {name: split for split, names in splits.items() for name in names}
        what = "split by its lists"
    else:
        names = [name for path in lists.values() for name in _listed(path, images, masks)] or sorted(masks.keys() & images.keys())
        named, what = dict.fromkeys(names, ""), f"of {len(lists)} lists" if lists else "that have a mask"
    left = [path for name, path in images.items() if name not in named]
    return Found(
        tuple(Example(name, images[name], masks[name], split) for name, split in named.items()),
        f"VOC's layout, {what}",
        (passed_over(left, f"in {root / IMAGES} that " + ("no list names" if lists else "have no mask")),) if left else (),
        _classes(root),
    )


def _classes(root: Path) -> tuple[Class, ...]:
    if (root / COLOUR_FILE).is_file():
        return read_colours(root / COLOUR_FILE)
    if (root / NAME_FILE).is_file():
        return checked_classes([Class(line) for line in read_lines(root / NAME_FILE) if line], str(root / NAME_FILE))
    return official_classes() if root.resolve().name in OFFICIAL_FOLDERS else ()


def _by_name(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in entries(folder) if path.suffix.lower() in IMAGE_SUFFIXES and not is_folder(path)}


def _listed(path: Path, images: Iterable[str], masks: Iterable[str]) -> list[str]:
    names = listed(path)
    for name in names:
        for there, what in ((images, "image"), (masks, "mask")):
            if name not in there:
                raise DataError(f"{path} lists {brief(name)}, which has no {what}; unpack the data again, or correct the list")
    return list(dict.fromkeys(names))
