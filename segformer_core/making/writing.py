"""A folder that is there whole or not at all, and how files come into it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from segformer_core.errors import DataError
from segformer_core.making.example import TRAIN, VAL, Embedded

IMAGES, LABELS = "images", "labels"
COPY = "copy"


def _symbolic(source: Path, place: Path) -> None:
    place.symlink_to(source.resolve())


def _hard(source: Path, place: Path) -> None:
    os.link(source.resolve(), place)


WAYS: dict[str, Callable[[Path, Path], object]] = {COPY: shutil.copyfile, "hard": _hard, "symbolic": _symbolic}
"""How a file that stays as it is comes into the new folder: a copy, or a link to the one file."""


def check_new(target: Path, sources: list[Path]) -> None:
    """Raises DataError if there is something at `target`, or if it would lie among the sources."""
    if target.exists() or target.is_symlink():
        raise DataError(f"{target} is there already; choose another name, or remove it first")
    for source in sources:
        if source.resolve() in target.resolve().parents:
            raise DataError(f"{target} lies in {source}, from which it is made; choose a place outside")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """An empty layout to fill, which becomes `target` when the context is left; by an exception nothing is left behind.

    Raises DataError if it cannot be written.
    """
    home = next(parent for parent in target.absolute().parents if parent.is_dir())
    temporary = home / f".{target.name}.{os.getpid()}"
    try:
        for kind in (IMAGES, LABELS):
            for split in (TRAIN, VAL):
                (temporary / kind / split).mkdir(parents=True)
        yield temporary
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(temporary, target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}; choose another place") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def place_file(source: Path | Embedded, place: Path, way: str) -> None:
    """Put an image or a mask into the new folder as it is. Raises DataError if its file cannot be read, or OSError."""
    if not isinstance(source, Path):
        place.write_bytes(source.read())
        return
    try:
        WAYS[way](source, place)
    except OSError as error:
        if way == COPY:
            raise
        raise DataError(f"{source} cannot be linked ({error.strerror}); leave --link out to copy it") from error
