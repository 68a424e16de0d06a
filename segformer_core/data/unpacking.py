"""Copies a data set so that there is little to decode: the files that training reads, with the same names and the same pixels."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segformer_core.data import cityscapes, folder
from segformer_core.data.ahead import prefetch
from segformer_core.data.dataset import Item, NoLabels, NoSuchSplit
from segformer_core.data.description import find_description, read_description
from segformer_core.data.image_bytes import PNG_HEADER_END
from segformer_core.data.image_file import read_bytes
from segformer_core.data.layout import ItemFinder, open_dataset
from segformer_core.data.listing import is_junk
from segformer_core.data.split_files import FIRST_SPLITS, Files
from segformer_core.data.unpacked_png import check_same_pixels, unpacked, unpacked_size
from segformer_core.errors import DataError, plural
from segformer_core.files import atomic_write, special_file, writable_directory

SAME_TIME = 2.0
"""Seconds by which a file's time may differ from that of its source: FAT, as on many sticks and cards, keeps no finer ones."""


@dataclass(frozen=True)
class Written:
    """What became of a file: its PNG was unpacked, or (False) it was copied; `size` in bytes. Or it has an `error`."""

    unpacked: bool = False
    size: int = 0
    error: str = ""


def find_files(root: Path, dataset_file: str = "") -> tuple[list[Path], list[str]]:
    """What a training reads of a data set, relative to its folder, and the names of its splits that have labels.

    That is the description, lists of names, and the images and labels of these splits. Raises DataError if it is no data set, if
    its train or val has no labels, if only some images of a split have one, or if its description names absolute paths.
    """
    find: ItemFinder = cityscapes.find_items
    found: list[Path] = []
    if description := find_description(root, dataset_file):
        files = read_description(description).files
        find, splits = partial(folder.find_items, layout=files), files.split_names(root)
        found = [*_inside(root, description), *_lists(root, files, description)]
    else:
        splits = cityscapes.split_names(root)
    items = {split: _items(find, root, split) for split in splits}
    if not any(items.values()):
        open_dataset(str(root), next(iter(items), FIRST_SPLITS[0]), dataset_file)  # says what is missing
        raise DataError(f"{root} has no split with labels; give a data set that can be trained on")
    found += [path for split in items.values() for item in split for path in (item.image, item.label) if path]
    return [path.relative_to(root) for path in dict.fromkeys(found)], [split for split in items if items[split]]


def _items(find: ItemFinder, root: Path, split: str) -> tuple[Item, ...]:
    """The items of a split; none if it has no labels and needs none, as test, or no images.

    A training reads what labels there are in any split, to learn how they are stored: with some of them it would not be the same.
    """
    try:
        return find(root, split, True).items
    except NoSuchSplit:
        return ()
    except NoLabels:
        if split in FIRST_SPLITS:
            raise
        return ()


def _inside(root: Path, description: Path) -> list[Path]:
    """The description by its place below `root`, however its path is written; empty if it lies elsewhere."""
    home = root.resolve()
    for place in (description.parent.resolve() / description.name, description.resolve()):
        if place.is_relative_to(home):
            return [root / place.relative_to(home)]
    return []


def _lists(root: Path, files: Files, description: Path) -> list[Path]:
    """The files that list names. Raises DataError for an absolute path: in the copy it would still lead to the first data set."""
    lists = [places.names for places in files.splits.values() if places.names]
    folders_of_all = [path for places in files.splits.values() for path in (*places.images, *places.labels)]
    for path in (*folders_of_all, *lists):
        if path.is_absolute():
            raise DataError(f"{description} names {path}; expected paths relative to {root}, which a copy has as well")
    return [root / path for path in lists]


def files_to_write(root: Path, target: Path, files: Sequence[Path]) -> list[Path]:
    """The `files` of `root` that `target` does not have yet as they are now.

    Raises DataError if one of the folders lies in the other, by a link as well, or if `target` holds anything else.
    """
    for outer, inner in ((root, target), (target, root)):
        if outer.resolve() in (inner.resolve(), *inner.resolve().parents):
            raise DataError(f"{inner} lies in {outer}; choose a folder outside of {root} for the copy")
    if others := _others(target, set(files)):
        what = plural(len(others), "file")
        raise DataError(
            f"{target} holds {what} that the copy would not have, such as {others[0]}; remove them, or choose a new folder"
        )
    for path in files:
        source, copy = root / path, target / path
        if source.exists() and copy.exists() and copy.samefile(source):
            raise DataError(f"{copy} is {source} itself, by a link; choose a new folder for the copy")
    return [path for path in files if not _up_to_date(root / path, target / path)]


def _others(target: Path, files: set[Path]) -> list[Path]:
    there = (Path(where).relative_to(target) / name for where, _, names in os.walk(target) for name in names)
    return sorted(path for path in there if path not in files and not is_junk(path))


def _up_to_date(source: Path, copy: Path) -> bool:
    """A copy gets the time of its source, and its name when it is whole."""
    return source.exists() and copy.exists() and abs(copy.stat().st_mtime - source.stat().st_mtime) <= SAME_TIME


def size_of(path: Path) -> int:
    """About the bytes that the copy of a file will have; 0 for one that cannot be read."""
    if special_file(path):
        return 0
    try:
        with path.open("rb") as file:
            return unpacked_size(file.read(PNG_HEADER_END)) or os.fstat(file.fileno()).st_size
    except OSError:
        return 0


def check_room(needed: int, target: Path) -> int:
    """The free bytes of the disk on which `target` is or will be. Raises DataError if they are fewer than `needed`."""
    home = next(place for place in (target.absolute(), *target.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(home).free
    if free < needed:
        have = f"needs {in_gb(needed)} and its disk has {in_gb(free)} free"
        raise DataError(f"{target} {have}; free some space or choose another place")
    return free


def in_gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def unpack_all(root: Path, target: Path, files: Sequence[Path], workers: int) -> Iterator[Written]:
    """Write the copies of `files`, in threads. Raises UserError if one cannot be written."""
    for parent in {(target / path).parent for path in files}:
        writable_directory(parent)
    return prefetch(lambda path: unpack(root / path, target / path), files, workers)


def unpack(source: Path, copy: Path) -> Written:
    """Write one copy and read it back. Raises UserError if it cannot be written."""
    written = Written()

    def write(temporary: Path) -> None:
        nonlocal written
        data = read_bytes(source)
        png = unpacked(data, source)
        temporary.write_bytes(data if png is None else png)
        if png is not None:
            check_same_pixels(data, temporary.read_bytes(), source)
        os.utime(temporary, ns=(time, time))
        written = Written(png is not None, len(data if png is None else png))

    try:
        time = source.stat().st_mtime_ns
    except OSError as error:
        return Written(error=f"cannot read {source}: {error.strerror}")
    try:
        atomic_write(copy, write)
    except DataError as error:
        return Written(error=str(error))
    return written
