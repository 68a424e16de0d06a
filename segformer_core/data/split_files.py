"""Where a folder data set keeps its files: the endings of their names, and the folders of each split."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segformer_core.data.listing import folders, is_folder
from segformer_core.errors import DataError, brief
from segformer_core.paths import expanded, name_fault

IMAGES, LABELS = "images", "labels"
LABEL_SUFFIX = ".png"
SUFFIXES = (("label_suffix", LABEL_SUFFIX), ("image_suffix", ""))
"""Keys and their defaults."""
FIRST_SPLITS = ("train", "val")
"""The order of a data set's splits begins with these."""

PLACES = ("images", "labels", "list")
SPLIT_FORM = "{images: FOLDER, labels: FOLDER}, each a folder or a list of folders, and optionally list: FILE"


@dataclass(frozen=True)
class Places:
    """The folders of a split's images and labels, and the file that lists their names; None: all images are meant.

    A split for inference only may have no labels.
    """

    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    names: Path | None = None


@dataclass(frozen=True)
class Files:
    """`label_suffix` follows an image's name in its label's name.

    `image_suffix` is cut off an image's name; empty: its ending is.

    `splits`: split -> its places, relative to the data path; empty: images/SPLIT and labels/SPLIT.
    """

    label_suffix: str = LABEL_SUFFIX
    image_suffix: str = ""
    splits: Mapping[str, Places] = field(default_factory=dict)

    def places(self, root: Path, split: str) -> Places | None:
        """Where the split's files are; None if the description has splits and not this one."""
        if not self.splits:
            return Places((root / IMAGES / split,), (root / LABELS / split,))
        places = self.splits.get(split)
        if places is None:
            return None
        names = None if places.names is None else root / places.names
        return Places(tuple(root / path for path in places.images), tuple(root / path for path in places.labels), names)

    def lies_in(self, root: Path, split: str) -> bool:
        """Whether the description has this split and a folder of its images is in `root`."""
        return split in self.splits and any(
            not path.is_absolute() and is_folder(root / path) for path in self.splits[split].images
        )

    def split_names(self, root: Path) -> list[str]:
        """Every split of the data set, in an order that is the same whichever of them is opened."""
        names = list(self.splits) or [folder.name for folder in folders(root / IMAGES)]
        return sorted(names, key=lambda name: (FIRST_SPLITS.index(name) if name in FIRST_SPLITS else len(FIRST_SPLITS), name))


def read_files(path: Path, content: Mapping[str, Any]) -> Files:
    """What a description says of its files. Raises DataError."""
    label_suffix, image_suffix = (_suffix(path, content, key, default) for key, default in SUFFIXES)
    splits = content.get("splits", {})
    if not isinstance(splits, dict) or ("splits" in content and not splits):
        raise DataError(f"{path}: splits is {brief(splits)}; expected train: {SPLIT_FORM}")
    return Files(label_suffix, image_suffix, {str(split): _places(path, split, entry) for split, entry in splits.items()})


def _suffix(path: Path, content: Mapping[str, Any], key: str, default: str) -> str:
    if key not in content:
        return default
    value = content[key]
    if not isinstance(value, str) or "." not in value or "/" in value or not value.isprintable():
        raise DataError(f"{path}: {key} is {brief(value)}; expected the end of a file's name, such as .png or _mask.png")
    return value


def _places(path: Path, split: Any, entry: Any) -> Places:
    if not isinstance(split, str) or not isinstance(entry, dict) or "images" not in entry or entry.keys() - PLACES:
        raise DataError(f"{path}: split {brief(split)} is {brief(entry)}; expected {SPLIT_FORM}")
    images = _folders(path, split, "images", entry["images"])
    labels = _folders(path, split, "labels", entry["labels"]) if "labels" in entry else ()
    return Places(images, labels, _inside(path, split, "list", entry["list"]) if "list" in entry else None)


def _folders(path: Path, split: str, key: str, entry: Any) -> tuple[Path, ...]:
    entries = entry if isinstance(entry, list) else [entry]
    if not entries:
        raise DataError(f"{path}: {key} of split {split} is empty; expected a folder or a list of folders")
    return tuple(_inside(path, split, key, folder) for folder in entries)


def _inside(path: Path, split: str, key: str, entry: Any) -> Path:
    """A path in the data path, or an absolute one. A relative one that leads out is a mistake more often than meant."""
    if not isinstance(entry, str) or not entry:
        raise DataError(f"{path}: {key} of split {split} is {brief(entry)}; expected a path relative to the data path")
    place = Path(expanded(entry))
    if fault := name_fault(str(place)):
        raise DataError(f"{path}: {key} of split {split} is {brief(entry)}: {fault}")
    if not place.is_absolute() and ".." in place.parts:
        raise DataError(
            f"{path}: {key} of split {split} is {brief(entry)}, which leads out of the data path; write an absolute path"
        )
    return place
