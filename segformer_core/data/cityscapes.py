"""The Cityscapes layout: leftImg8bit/{split}/{city}/…_leftImg8bit.png and gtFine/{split}/{city}/…_gtFine_labelTrainIds.png."""

from pathlib import Path

from segformer_core.data.dataset import Classes, Item
from segformer_core.errors import DataError

IMAGES, LABELS = "leftImg8bit", "gtFine"
IMAGE_SUFFIX = "_leftImg8bit.png"
POLYGONS_SUFFIX = "_gtFine_polygons.json"
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


def find_items(root: Path, split: str, with_labels: bool = True) -> tuple[Item, ...]:
    """The split's images, sorted by city and name. Raises DataError if there are none, or if one has no converted labels."""
    images = sorted((root / IMAGES / split).glob(f"*/*{IMAGE_SUFFIX}"))
    if not images:
        raise DataError(f"no images in {root / IMAGES / split}; expected {{city}}/*{IMAGE_SUFFIX}")
    if not with_labels:
        return tuple(Item(image, None, image.stem) for image in images)
    labels = [_label(root, split, image, TRAIN_IDS_SUFFIX) for image in images]
    missing = [label for label in labels if not label.is_file()]
    if missing:
        image = images[labels.index(missing[0])]
        if _label(root, split, image, POLYGONS_SUFFIX).is_file():
            raise DataError(
                f"{len(missing)} of {len(images)} images of {split} have no {TRAIN_IDS_SUFFIX} file, the first is {missing[0]}; "
                f"run python -m segformer_core convert_dataset {root}"
            )
        raise DataError(
            f"{len(missing)} of {len(images)} images of {split} have no label; the first is {image}, expected {missing[0]}"
        )
    return tuple(Item(image, label, image.stem) for image, label in zip(images, labels, strict=True))


def _label(root: Path, split: str, image: Path, suffix: str) -> Path:
    return root / LABELS / split / image.parent.name / (image.name.removesuffix(IMAGE_SUFFIX) + suffix)
