"""The Cityscapes layout: leftImg8bit/{split}/{city}/…_leftImg8bit.png and gtFine/{split}/{city}/…_gtFine_labelTrainIds.png."""

from pathlib import Path

from segformer_core.data.dataset import Classes, Found, Item, NoLabels, no_images
from segformer_core.data.listing import entries, folders, is_folder, passed_over
from segformer_core.errors import DataError

IMAGES, LABELS = "leftImg8bit", "gtFine"
IMAGE_SUFFIX = "_leftImg8bit.png"
POLYGONS_SUFFIX = "_gtFine_polygons.json"
LABEL_IDS_SUFFIX = "_gtFine_labelIds.png"
TRAIN_IDS_SUFFIX = "_gtFine_labelTrainIds.png"

CLASSES = Classes(
    names=(
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
        "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ),
    colours=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
        (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70),
        (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
)  # fmt: skip
"""The 19 train classes in the order of their train ids, with the benchmark's colours."""


def find_items(root: Path, split: str, with_labels: bool = True) -> Found:
    """The split's images, sorted by city and name. Raises DataError if there are none, or if one has no converted labels.

    NoSuchSplit: there are no images. NoLabels: none of them has a label.
    """
    folder = find_folder(root, IMAGES, split) or root / IMAGES
    files = [path for city in folders(folder / split) for path in entries(city)]
    images = [path for path in files if path.name.endswith(IMAGE_SUFFIX)]
    note = passed_over(set(files).difference(images), f"in {folder / split} without the ending {IMAGE_SUFFIX}")
    if not images:
        raise no_images(folder / split, f"{{city}}/*{IMAGE_SUFFIX}", note)
    if not with_labels:
        return Found(tuple(Item(image, None, image.stem) for image in images), note)
    beside = folder.parent / LABELS
    truth = beside if is_folder(beside) else find_folder(root, LABELS, split) or beside
    labels = [_label(truth / split, image, TRAIN_IDS_SUFFIX) for image in images]
    missing = [(image, label) for image, label in zip(images, labels, strict=True) if not label.is_file()]
    if missing:
        image, label = missing[0]
        fault = NoLabels if len(missing) == len(images) else DataError
        if any(_label(truth / split, image, suffix).is_file() for suffix in (POLYGONS_SUFFIX, LABEL_IDS_SUFFIX)):
            raise fault(
                f"{len(missing)} of {len(images)} images of {split} have no {TRAIN_IDS_SUFFIX} file, the first is {label}; "
                f"run python -m segformer_core convert_dataset {root}"
            )
        raise fault(f"{len(missing)} of {len(images)} images of {split} have no label; the first is {image}, expected {label}")
    return Found(tuple(Item(image, label, image.stem) for image, label in zip(images, labels, strict=True)), note)


def find_folder(root: Path, name: str, split: str = "") -> Path | None:
    """The folder `name` in `root`, else the only one a level deeper that has the split: archives are often unpacked so.

    None if there is none. Raises DataError if there are several.
    """
    nested = root / name / name / split
    if is_folder(root / name) and not is_folder(nested):
        return root / name
    deeper = [child / name for child in folders(root) if is_folder(child / name / split)]
    if len(deeper) > 1:
        raise DataError(f"{root} holds {deeper[0]} and {deeper[1]}; give the folder of the one that you mean as data_path")
    return deeper[0] if deeper else None


def split_names(root: Path) -> list[str]:
    """The names of all splits, sorted: each may lie in another archive, as train_extra does."""
    archives = [folder / IMAGES for folder in (root, *folders(root)) if is_folder(folder / IMAGES)]
    return sorted({split.name for archive in archives for split in folders(archive)})


def _label(folder: Path, image: Path, suffix: str) -> Path:
    return folder / image.parent.name / (image.name.removesuffix(IMAGE_SUFFIX) + suffix)
