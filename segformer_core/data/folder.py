"""The folder layout: images/{train,val}/NAME.jpg, labels/{train,val}/NAME.png and a small YAML that names the classes.

classes:
  - {name: sky, colour: [128, 128, 128]}     # label 0
  - {name: road, colour: [128, 64, 128]}     # label 1
ignore_value: 255                            # optional
"""

from pathlib import Path

from segformer_core.config.files import find_config
from segformer_core.config.yaml_reading import read_yaml
from segformer_core.data.dataset import IGNORED, Classes, Found, Item, no_images
from segformer_core.data.image_file import IMAGE_SUFFIXES
from segformer_core.data.listing import UNREADABLE_KINDS, entries, passed_over
from segformer_core.errors import DataError, brief

IMAGES, LABELS = "images", "labels"
DESCRIPTION = "dataset.yaml"
LABEL_SUFFIX = ".png"
LONGEST_CLASS = 100
"""Letters of a class's name."""


def find_description(root: Path, dataset_file: str) -> Path | None:
    """The YAML that `dataset_file` names, else the one in the dataset's folder; None if there is none. Raises ConfigError."""
    if dataset_file:
        return find_config(dataset_file)
    return root / DESCRIPTION if (root / DESCRIPTION).is_file() else None


def read_classes(path: Path) -> Classes:
    """Names, colours and ignore value. Raises DataError that names the wrong entry; ConfigError if the file is no YAML."""
    content = read_yaml(path)
    unknown = [key for key in content if key not in ("classes", "ignore_value")]
    if unknown:
        raise DataError(f"{path} has an unknown key {brief(unknown[0])}; expected classes and, optionally, ignore_value")
    entries = content.get("classes")
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} lists no classes; expected classes: [{{name: road, colour: [128, 64, 128]}}, …]")
    if len(entries) > IGNORED:
        raise DataError(f"{path} lists {len(entries)} classes; expected at most {IGNORED}, as a label image holds 8 bits a pixel")
    names, colours = [], []
    for index, entry in enumerate(entries):
        colour = entry.get("colour") if isinstance(entry, dict) else None
        if (
            not isinstance(colour, list)
            or not isinstance(entry.get("name"), str)
            or not entry["name"].isprintable()
            or not 0 < len(entry["name"]) <= LONGEST_CLASS
            or len(colour) != 3
            or not all(type(part) is int and 0 <= part <= 255 for part in colour)
        ):
            raise DataError(
                f"{path}, class {index}: {brief(entry)}; expected {{name: road, colour: [128, 64, 128]}}, colours 0..255"
            )
        names.append(entry["name"])
        colours.append((colour[0], colour[1], colour[2]))
    if len(set(names)) < len(names):
        raise DataError(f"{path} names class {brief(next(n for n in names if names.count(n) > 1))} twice")
    ignore = content.get("ignore_value", IGNORED)
    if type(ignore) is not int or not len(names) <= ignore <= 255:
        raise DataError(f"{path}: ignore_value is {brief(ignore)}; expected a value that is no class index, {len(names)}..255")
    return Classes(tuple(names), tuple(colours), ignore, str(path))


def find_items(root: Path, split: str, with_labels: bool = True) -> Found:
    """The split's images, sorted by name. Raises DataError if there are none, or if one has no label."""
    folder = root / IMAGES / split
    files = entries(folder)
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()]
    note = passed_over(set(files).difference(images), f"in {folder} {UNREADABLE_KINDS}")
    if not images:
        raise no_images(folder, f"files ending in {', '.join(IMAGE_SUFFIXES)}", note)
    if not with_labels:
        return Found(tuple(Item(image, None, image.stem) for image in images), note)
    twins = [path for before, path in zip(images, images[1:], strict=False) if before.stem == path.stem]
    if twins:
        raise DataError(f"{twins[0]} has the name of another image with another ending; both would have one label: rename one")
    return Found(_labelled(images, root / LABELS / split), note)


def _labelled(images: list[Path], folder: Path) -> tuple[Item, ...]:
    """The images with their labels: files of the same name that end in .png or .PNG."""
    files = entries(folder)
    labels = {path.stem: path for path in files if path.suffix.lower() == LABEL_SUFFIX and path.is_file()}
    missing = [image for image in images if image.stem not in labels]
    if missing:
        first = missing[0]
        sentence = f"{len(missing)} of {len(images)} images of {folder.name} have no label; first: {first}"
        other = next((path for path in files if path.stem == first.stem), None)
        hint = f"; {other} is none: save it as an 8-bit gray {LABEL_SUFFIX}" if other else ""
        raise DataError(f"{sentence}, expected {folder / f'{first.stem}{LABEL_SUFFIX}'}{hint}")
    return tuple(Item(image, labels[image.stem], image.stem) for image in images)
