"""The folder layout: images/{train,val}/NAME.jpg, labels/{train,val}/NAME.png and a small YAML that names the classes.

classes:
  - {name: sky, colour: [128, 128, 128]}     # label 0
  - {name: road, colour: [128, 64, 128]}     # label 1
ignore_value: 255                            # optional
"""

from pathlib import Path

from segformer_core.config.files import find_config, read_yaml
from segformer_core.data.dataset import IGNORED, Classes, Item
from segformer_core.data.image_file import IMAGE_SUFFIXES
from segformer_core.errors import DataError

IMAGES, LABELS = "images", "labels"
DESCRIPTION = "dataset.yaml"


def find_description(root: Path, dataset_file: str) -> Path | None:
    """The YAML that `dataset_file` names, else the one in the dataset's folder; None if there is none. Raises ConfigError."""
    if dataset_file:
        return find_config(dataset_file)
    return root / DESCRIPTION if (root / DESCRIPTION).is_file() else None


def read_classes(path: Path) -> Classes:
    """Names, colours and ignore value. Raises DataError that names the wrong entry; ConfigError if the file is no YAML."""
    content = read_yaml(path)
    unknown = sorted(set(content) - {"classes", "ignore_value"})
    if unknown:
        raise DataError(f"{path} has an unknown key {unknown[0]!r}; expected classes and, optionally, ignore_value")
    entries = content.get("classes")
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} lists no classes; expected classes: [{{name: road, colour: [128, 64, 128]}}, …]")
    names, colours = [], []
    for index, entry in enumerate(entries):
        colour = entry.get("colour") if isinstance(entry, dict) else None
        if (
            not isinstance(colour, list)
            or not isinstance(entry.get("name"), str)
            or len(colour) != 3
            or not all(type(part) is int and 0 <= part <= 255 for part in colour)
        ):
            raise DataError(f"{path}, class {index}: {entry!r}; expected {{name: road, colour: [128, 64, 128]}}, colours 0..255")
        names.append(entry["name"])
        colours.append((colour[0], colour[1], colour[2]))
    if len(set(names)) < len(names):
        raise DataError(f"{path} names class {next(n for n in names if names.count(n) > 1)!r} twice")
    ignore = content.get("ignore_value", IGNORED)
    if type(ignore) is not int or not len(names) <= ignore <= 255:
        raise DataError(f"{path}: ignore_value is {ignore!r}; expected a value that is no class index, {len(names)}..255")
    return Classes(tuple(names), tuple(colours), ignore)


def find_items(root: Path, split: str, with_labels: bool = True) -> tuple[Item, ...]:
    """The split's images, sorted by name. Raises DataError if there are none, or if one has no label."""
    folder = root / IMAGES / split
    images = find_images(folder)
    if not images:
        raise DataError(f"no images in {folder}; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    if not with_labels:
        return tuple(Item(image, None, image.stem) for image in images)
    twins = [path for before, path in zip(images, images[1:], strict=False) if before.stem == path.stem]
    if twins:
        raise DataError(f"{twins[0]} has the name of another image with another ending; both would have one label: rename one")
    labels = [root / LABELS / split / f"{image.stem}.png" for image in images]
    missing = [(image, label) for image, label in zip(images, labels, strict=True) if not label.is_file()]
    if missing:
        image, label = missing[0]
        raise DataError(f"{len(missing)} of {len(images)} images of {split} have no label; first: {image}, expected {label}")
    return tuple(Item(image, label, image.stem) for image, label in zip(images, labels, strict=True))


def find_images(folder: Path) -> list[Path]:
    """The image files of one folder, sorted by name; an empty list if the folder does not exist."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
