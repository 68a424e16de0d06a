"""Several files that appear together, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from segformer_core.errors import UserError
from segformer_core.files import special_file


def write_together(files: Sequence[Path], write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file for each of `files`, which lie in one folder, then put all of them in place.

    On any error the files are as they were before, and a folder that was made for them is gone. Raises UserError if they cannot
    be written, else what `write` raises.
    """
    folder = files[0].parent
    for file in files:
        kind = "a folder" if file.is_dir() else special_file(file)
        if kind:
            raise UserError(f"{file} is {kind} and is kept; choose another name")
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".converting-") as temporary:
                for file in files:
                    write(Path(temporary) / file.name)
                _replace(files, Path(temporary))
        except BaseException:
            for parent in made:
                with suppress(OSError):  # of somebody who has put a file there in the meantime
                    parent.rmdir()
            raise
    except OSError as error:
        why = error.strerror or error
        raise UserError(f"cannot write {_place(files)}: {why}; free some space or choose another folder") from error


def _place(files: Sequence[Path]) -> Path:
    return files[0] if len(files) == 1 else files[0].parent


def _replace(files: Sequence[Path], temporary: Path) -> None:
    """Move the new files into place; the old ones wait beside them until all is well. Renaming needs no space."""
    before = temporary / "before"
    before.mkdir()
    moved: list[Path] = []
    try:
        for file in files:
            moved.append(file)
            if file.exists():
                os.replace(file, before / file.name)
            os.replace(temporary / file.name, file)
    except BaseException:
        for file in reversed(moved):
            if (before / file.name).exists():
                os.replace(before / file.name, file)
            elif not (temporary / file.name).exists():
                file.unlink(missing_ok=True)
        raise
    shutil.rmtree(before, ignore_errors=True)
