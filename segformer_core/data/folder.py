"""The folder layout: images/{train,val}/NAME.jpg, labels/{train,val}/NAME.png, or the folders that dataset.yaml names."""

from collections.abc import Iterator
from pathlib import Path

from segformer_core.data.dataset import Found, Item, NoLabels, NoSuchSplit, no_images
from segformer_core.data.image_file import ARRAY_SUFFIXES, IMAGE_SUFFIXES
from segformer_core.data.listing import UNREADABLE_KINDS, entries, files, passed_over
from segformer_core.data.split_files import Files, Places
from segformer_core.errors import DataError

PLAIN = Files()
LARGEST_LIST = 2**24
"""Bytes of a file that lists the names of a split."""
LABEL_KINDS = tuple(suffix for suffix in IMAGE_SUFFIXES if suffix not in (".jpg", ".jpeg"))
JOINTS = "_-."
"""What stands between an image's name and the rest of its label's name."""


def find_items(root: Path, split: str, with_labels: bool = True, layout: Files = PLAIN) -> Found:
    """The split's images, sorted by name in each folder. Raises DataError if there are none, or if one has no label.

    NoSuchSplit: there are no images. NoLabels: none of them has a label.
    """
    places = layout.places(root, split)
    if places is None:
        raise NoSuchSplit(f"the description of {root} has no split {split}; it has {', '.join(layout.splits)}")
    images, note = _images(places, layout)
    if not with_labels:
        return Found(tuple(Item(image, None, name) for image, name in images), note)
    if not places.labels:
        raise NoLabels(f"the description of {root} names no labels of split {split}; add labels: FOLDER to it")
    items = _labelled(images, places, layout, split)
    _by_name(images, "have one name and would have one label; rename one, or write the images' ending as image_suffix")
    return Found(items, note)


def label_files(root: Path, layout: Files) -> Iterator[Path]:
    """The label of every image of every split, in an order that does not depend on the split that is opened.

    What is missing or unreadable is passed over: the split that it belongs to names it when it is opened.
    """
    for split in layout.split_names(root):
        places = layout.places(root, split)
        if places is None:
            continue
        try:
            labels = labels_of(places, layout)
            yield from (labels[name] for _, name in _images(places, layout)[0] if name in labels)
        except DataError:
            continue


def _images(places: Places, layout: Files) -> tuple[list[tuple[Path, str]], str]:
    """The images with their names, without the endings, and a sentence on the other files. Raises DataError."""
    found = [path for folder in places.images for path in entries(folder)]
    suffixes = (layout.image_suffix.lower(),) if layout.image_suffix else IMAGE_SUFFIXES + ARRAY_SUFFIXES
    images = [
        path for path in found if path.name.lower().endswith(suffixes) and not path.is_dir() and not _beside(path, places, layout)
    ]
    where = ", ".join(map(str, places.images))
    kinds = f"without the ending {layout.image_suffix}" if layout.image_suffix else UNREADABLE_KINDS
    others = (path for path in set(found).difference(images) if not _is_label(path, places, layout))
    note = passed_over(others, f"in {where} {kinds}")
    if not images:
        raise no_images(places.images[0], f"files ending in {', '.join(suffixes)}", note)
    named = [(path, _name(path, layout.image_suffix)) for path in images]
    return named if places.names is None else _listed(named, places.names), note


def _beside(path: Path, places: Places, layout: Files) -> bool:
    """Whether a file in a folder of images is the label of one of them, such as x_mask.png beside x.png."""
    return layout.label_suffix.lower() not in IMAGE_SUFFIXES and _is_label(path, places, layout)


def _is_label(path: Path, places: Places, layout: Files) -> bool:
    """Whether a file has the place and the ending of a label."""
    return path.parent in places.labels and path.name.lower().endswith(layout.label_suffix.lower())


def _name(path: Path, suffix: str) -> str:
    """A file's name without the ending `suffix`; empty: without its last ending."""
    return path.name[: -len(suffix)] if suffix else path.stem


def _listed(images: list[tuple[Path, str]], names: Path) -> list[tuple[Path, str]]:
    """The images that a file lists: one name a line, with or without an ending and folders. Raises DataError."""
    try:
        with names.open("rb") as file:
            text = file.read(LARGEST_LIST).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {names}, the list of a split's names: {error}; expected a text file") from error
    wanted = {Path(line.strip()).name for line in text.splitlines() if line.strip()}
    chosen = [(path, name) for path, name in images if name in wanted or path.name in wanted]
    missing = sorted(wanted - {path.name for path, _ in chosen} - {name for _, name in chosen})
    if missing:
        raise DataError(
            f"{len(missing)} of {len(wanted)} names in {names} have no image in {images[0][0].parent}; first: {missing[0]}; "
            "expected the name of an image in each line"
        )
    if not chosen:
        raise DataError(f"{names} lists no names; expected the name of an image in each line")
    return chosen


def labels_of(places: Places, layout: Files) -> dict[str, Path]:
    """Name -> label file. Raises DataError."""
    suffix = layout.label_suffix.lower()
    found = [path for folder in places.labels for path in files(folder) if path.name.lower().endswith(suffix)]
    return _by_name([(path, _name(path, suffix)) for path in found], "would be labels of one image; remove one of them")


def _by_name(named: list[tuple[Path, str]], fault: str) -> dict[str, Path]:
    """Name -> file. Raises DataError that says `fault` of two files with one name."""
    found: dict[str, Path] = {}
    for path, name in named:
        other = found.setdefault(name, path)
        if other != path:
            raise DataError(f"{other} and {path} {fault}")
    return found


def _labelled(images: list[tuple[Path, str]], places: Places, layout: Files, split: str) -> tuple[Item, ...]:
    labels = labels_of(places, layout)
    missing = [(image, name) for image, name in images if name not in labels]
    if not missing:
        return tuple(Item(image, labels[name], name) for image, name in images)
    image, name = missing[0]
    wanted = str(places.labels[0] / f"{name}{layout.label_suffix}")
    wanted += f", or in one of {len(places.labels) - 1} other folders" if len(places.labels) > 1 else ""
    hint = _other_label(places, name, layout)
    fault = NoLabels if len(missing) == len(images) else DataError
    raise fault(f"{len(missing)} of {len(images)} images of {split} have no label; first: {image}, expected {wanted}{hint}")


def _other_label(places: Places, name: str, layout: Files) -> str:
    """What to do about a file that may be the label of an image that has none, as the end of a sentence; empty: there is none."""
    others = [path for folder in places.labels for path in entries(folder) if path.name.startswith(name)]
    for path in others:
        rest = path.name[len(name) :]
        if rest[:1] in JOINTS and path.is_file() and path.suffix.lower() in LABEL_KINDS:
            return f"; there is {path}: if that is its label, write label_suffix: {rest} in dataset.yaml"
        if path.stem == name:
            return f"; {path} is none: save it as a gray {layout.label_suffix}"
    return ""
