"""The classes that the user or the source names: by options, by a dataset.yaml, or in text files."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segformer_core.data.classes import AUTO, Value
from segformer_core.data.description import check_names, is_colour, read_classes
from segformer_core.data.draft import Class
from segformer_core.errors import ConfigError, DataError, brief


@dataclass(frozen=True)
class Stated:
    """What the user or the source says of the classes; None where nothing is said. `source` says who."""

    classes: tuple[Class, ...] | None = None
    ignore: tuple[Value, ...] | None = None
    first_label: int | None = None
    label_map: Mapping[int, str] | None = None
    label_form: str = AUTO
    source: str = ""


def read_stated_file(path: Path) -> Stated:
    """What a user's dataset.yaml says of classes and labels. Raises UserError, as its reader does."""
    classes = read_classes(path)
    labelling = classes.labelling
    colours = {index: colour for colour, index in labelling.colours}
    listed = tuple(Class(name, colours.get(index)) for index, name in enumerate(classes.names))
    ignore: tuple[Value, ...] | None = None
    if labelling.ignore is not None:
        ignore = (*labelling.ignore, *labelling.ignored_colours)
    label_map = {value: classes.names[index] for value, index in labelling.values} if labelling.mapped else None
    first = labelling.values[0][0] if labelling.values and not labelling.mapped else None
    return Stated(listed, ignore, first, label_map, labelling.form, str(path))


def checked_classes(classes: Sequence[Class], source: str) -> tuple[Class, ...]:
    """The classes; raises DataError if there are none or too many, or if a name is wrong or given twice."""
    check_names([one.name for one in classes], source)
    return tuple(classes)


def read_colours(path: Path) -> tuple[Class, ...]:
    """Classes of a text file: a line each, `name r g b`, CVAT's `name:r,g,b::`, or CamVid's `r g b name`.

    Empty lines and those after # are left out. Raises DataError with the line of a mistake.
    """
    classes = []
    for number, line in enumerate(read_lines(path), 1):
        if not line or line.startswith("#"):
            continue
        found = next((match for form in COLOUR_LINES if (match := form.fullmatch(line))), None)
        colour = [int(found[part]) for part in "rgb"] if found else []
        if found is None or not is_colour(colour):
            raise DataError(f"{path}, line {number}: {brief(line)}; expected a name and its colour, such as road 128 64 128")
        classes.append(Class(found["name"].strip(), (colour[0], colour[1], colour[2])))
    return checked_classes(classes, str(path))


_NUMBERS = r"(?P<r>\d{1,3})\s*[\s,]\s*(?P<g>\d{1,3})\s*[\s,]\s*(?P<b>\d{1,3})"
COLOUR_LINES = (
    re.compile(rf"(?P<name>[^:]+):\s*{_NUMBERS}\s*(:.*)?"),
    re.compile(rf"(?P<name>.*\S)\s+{_NUMBERS}"),
    re.compile(rf"{_NUMBERS}\s+(?P<name>\S.*)"),
)
LARGEST_TEXT = 2**22
"""Bytes of a file of lines."""


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without the blanks around them. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_TEXT + 1)
        if len(data) > LARGEST_TEXT:
            raise ConfigError(f"{path} has more than {LARGEST_TEXT >> 20} MiB; expected a text file of some lines")
        return [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; choose another file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8; save it as UTF-8") from error
