"""Images that an annotation file names: found below one folder, never elsewhere."""

import re
from collections import Counter
from pathlib import Path, PurePosixPath

from segformer_core.errors import DataError
from segformer_core.making.json_file import Place

DRIVE = re.compile("[A-Za-z]:")


def relative(name: str, place: Place) -> PurePosixPath:
    """A file's name as a path below a folder. Raises DataError if it leads out of it."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or DRIVE.match(name) or not path.name:
        place.refuse(name, "the name of a file below the folder of images; a path that leaves it is not followed")
    return path


def find_image(folder: Path, path: PurePosixPath) -> Path | None:
    """The file of this path, or of its last part, below the folder; None if there is none."""
    return next((each for each in (folder / path, folder / path.name) if each.is_file()), None)


def short_names(paths: list[PurePosixPath], source: Path) -> list[str]:
    """Names without ending, each once: the last part, or where files of several folders share one, all parts joined by _.

    Raises DataError, in which `source` names the files, if two are still of one name.
    """
    if max(Counter(path.stem for path in paths).values(), default=0) < 2:
        return [path.stem for path in paths]
    joined: dict[str, PurePosixPath] = {}
    for path in paths:
        name = "_".join((*path.parts[:-1], path.stem))
        if name in joined:
            raise DataError(f"{source} names {joined[name]} and {path}, which would both be called {name}; rename one of them")
        joined[name] = path
    return [*joined]
