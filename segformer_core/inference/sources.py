"""Finds the images and videos that infer's data_path names, names their results, and finds the classes to paint."""

import glob
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import takewhile
from pathlib import Path

from segformer_core.data.dataset import Classes
from segformer_core.data.description import find_description, read_classes
from segformer_core.data.header import Header, read_header
from segformer_core.data.image_file import ARRAY_SUFFIXES, IMAGE_SUFFIXES
from segformer_core.data.layout import find_layout, open_dataset
from segformer_core.data.listing import UNREADABLE_KINDS, is_junk, passed_over
from segformer_core.data.rows import LARGE, has_rasterio
from segformer_core.errors import DataError, one_line
from segformer_core.files import special_file
from segformer_core.inference.video import VIDEO_SUFFIXES

KNOWN_SUFFIXES = IMAGE_SUFFIXES + ARRAY_SUFFIXES + VIDEO_SUFFIXES
"""The endings by which a folder's images and videos are found."""

SPLIT = "val"


@dataclass(frozen=True)
class Source:
    """An image or a video. Below the output folder its copy is `place`, and its results begin with `name`."""

    path: Path
    place: Path
    name: str

    @property
    def shown(self) -> str:
        """The path, as a line of a log can show it."""
        return one_line(self.path)

    @cached_property
    def header(self) -> Header | None:
        """What the file says of itself, of a kind that may be read by rows."""
        return None if self.is_video else read_header(self.path)

    @property
    def is_large(self) -> bool:
        """Whether it is read, labelled and written by rows, one image at a time."""
        return self.header is not None and self.header.pixels >= LARGE

    @property
    def gives_tiff(self) -> bool:
        """Whether its results are TIFFs: those of a TIFF that is large or has a place on the earth."""
        header = self.header
        return header is not None and header.tiff is not None and (header.georeferenced or self.is_large) and has_rasterio()

    @property
    def is_video(self) -> bool:
        return is_video(self.path)


def find_sources(data_path: str, dataset_file: str, output: Path) -> tuple[list[Source], Classes | None, str]:
    """The images of a dataset's val split; else one file, or the images and videos in a folder or of a pattern.

    A dataset's results lie in one folder; those of a folder or pattern keep its sub-folders. Files in the output folder are
    skipped if it lies in the searched folder, because an earlier run wrote them. Hidden files are skipped, too, and links to
    folders are not followed. The classes are those of the dataset or of a description, None if there is neither. The last value
    is a sentence on what else was found and is passed over, or empty. Raises DataError if there is no file, or a folder that
    cannot be read.
    """
    path = Path(data_path)
    if find_layout(path, SPLIT, dataset_file):
        dataset = open_dataset(data_path, SPLIT, dataset_file, with_labels=False)
        return named((item.image, Path(item.image.name)) for item in dataset.items), dataset.classes, dataset.note
    if special := special_file(path):
        raise DataError(f"{path} is {special}; expected a dataset, a file, a folder or a quoted pattern")
    note = ""
    if path.is_file():
        root, files = path.parent, [path]
    else:
        root, files, note = _matches(path, output)
    if not files:
        raise DataError(
            f"no images or videos at {path}; expected a dataset, a file, a folder or a quoted pattern such as 'shots/**/*.jpg'; "
            f"looked for {', '.join(KNOWN_SUFFIXES)} outside {output}{note and f'; {note}'}"
        )
    description = find_description(root, dataset_file)
    classes = read_classes(description) if description else None
    return named((file, file.relative_to(root)) for file in files), classes, note


def named(files: Iterable[tuple[Path, Path]]) -> list[Source]:
    """The sources of (path, place) pairs. Names that differ in their endings alone keep them, as in x.png_gray.png."""
    files = list(files)
    stems = Counter((place.with_suffix(""), is_video(place)) for _, place in files)
    return [
        Source(path, place, str(place if stems[place.with_suffix(""), is_video(place)] > 1 else place.with_suffix("")))
        for path, place in files
    ]


def is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _matches(path: Path, output: Path) -> tuple[Path, list[Path], str]:
    """The folder, or the part of a pattern before its first wildcard; the images and videos in it, sorted by path; and a
    sentence on its other files."""
    root = path if path.is_dir() else Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
    pattern = [*path.parts[len(root.parts) :]]
    if path.is_dir() or pattern[-1:] == ["**"]:  # which on its own matches only folders
        pattern += ["**", "*"]
    try:
        paths = sorted(root.glob("/".join(pattern))) if pattern else []
    except ValueError as error:
        raise DataError(f"{path} is no pattern: {error}; quote one such as 'shots/**/*.jpg'") from error
    resolved, results = cache(Path.resolve), output.resolve()
    skipped = results if root.resolve() in results.parents else None

    def is_asked_for(file: Path) -> bool:
        parent = resolved(file.parent)
        return not is_junk(file.relative_to(root)) and skipped not in (parent, *parent.parents)

    found = [file for file in paths if is_asked_for(file)]
    folders = [file for file in found if file.is_dir()]
    for folder in folders:
        if not os.access(folder, os.R_OK | os.X_OK):
            raise DataError(f"cannot read folder {folder}: Permission denied; change its permissions or name the others")
    files = sorted(set(found).difference(folders))
    known = [file for file in files if file.suffix.lower() in KNOWN_SUFFIXES]
    return root, known, passed_over(set(files).difference(known), UNREADABLE_KINDS)
