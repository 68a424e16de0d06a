"""What a folder holds: its files without those that systems leave there, and a sentence for what is passed over."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from segformer_core.errors import DataError

JUNK = frozenset(["__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini"])
"""Names that macOS, storage servers and Windows leave among images. Hidden names, such as ._x.png, count as junk too."""


def is_junk(place: Path) -> bool:
    """Whether a path, relative to the folder that the user named, is hidden or junk, or lies in such a folder."""
    return any(part.startswith(".") or part in JUNK for part in place.parts)


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, without junk; empty if it is no folder. Raises DataError if it cannot be read."""
    return [folder / entry.name for entry in _scan(folder)]


def files(folder: Path) -> list[Path]:
    """The regular files in a folder, and links to such, sorted, without junk. Raises DataError if it cannot be read."""
    return [folder / entry.name for entry in _scan(folder) if entry.is_file()]


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; not so if that may not be known, as in lost+found at the root of a disk.

    Before Python 3.14 Path.is_dir raises the PermissionError.
    """
    try:
        return path.is_dir()
    except OSError:
        return False


def folders(folder: Path) -> list[Path]:
    """The sub-folders, sorted, without junk; empty if it is no folder. Raises DataError if it cannot be read."""
    return [folder / entry.name for entry in _scan(folder) if is_folder(folder / entry.name)]


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as scan:
            return sorted((entry for entry in scan if not is_junk(Path(entry.name))), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a NUL in a name is a ValueError
        return []
    except OSError as error:
        raise DataError(f"cannot read folder {folder}: {error.strerror}; give another or change its permissions") from error


def passed_over(paths: Iterable[Path], why: str) -> str:
    """A sentence that counts the paths by their endings, the most frequent first; empty if there are none."""
    counts = Counter("folder(s)" if is_folder(path) else path.suffix.lower() or "without an ending" for path in paths)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    total = counts.total()
    return f"passed over {total} {'file' if total == 1 else 'files'} {why}: {kinds}" if total else ""


UNREADABLE_KINDS = "of kinds that cannot be read"
