"""dataset.yaml: the classes, and how the label files store them. Read from a user's file, written with every value."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segformer_core.config.yaml_reading import parse_yaml, read_yaml
from segformer_core.data.classes import AUTO, COLOURS, FORMS, IGNORED, LARGEST_VALUE
from segformer_core.data.description import KEYS, LONGEST_CLASS
from segformer_core.errors import ConfigError, DataError, brief, one_line

Colour = tuple[int, int, int]
"""Red, green and blue, 0..255."""
Value = int | Colour
"""What a label file stores in a pixel."""

LEFT_OUT = ("label_suffix", "image_suffix", "splits")
"""Keys that say where files are: the new folder has its own."""
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_ -]*[A-Za-z0-9]")
"""Names that need no quotes in YAML, unless they are words such as yes."""


@dataclass(frozen=True)
class Class:
    """A class by its name; the colour is None where nothing says one."""

    name: str
    colour: Colour | None = None


@dataclass(frozen=True)
class Stated:
    """What the user or the source says of the classes; None where nothing is said. `source` says who."""

    classes: tuple[Class, ...] | None = None
    ignore: tuple[Value, ...] | None = None
    first_label: int | None = None
    label_map: Mapping[int, str] | None = None
    label_form: str = AUTO
    source: str = ""


@dataclass(frozen=True)
class Description:
    """Everything that dataset.yaml says. Either `label_map` (stored value -> name) or `first_label` counts."""

    classes: tuple[Class, ...]
    ignore: tuple[Value, ...]
    label_form: str
    label_suffix: str
    first_label: int = 0
    label_map: Mapping[int, str] | None = None

    def stored(self, index: int) -> str:
        """What the label files store for a class, in words."""
        one = self.classes[index]
        if self.label_form == COLOURS:
            return f"label {index}"
        if self.label_map is None:
            value = str(index + self.first_label)
        else:
            value = ", ".join(str(key) for key, name in self.label_map.items() if name == one.name)
        return f"label {index}" + (f", stored as {value}" if value != str(index) else "")

    def text(self, comment: str) -> str:
        """The file's content; `comment` is its first line."""
        lines = [f"# {one_line(comment)}", "classes:"]
        for index, one in enumerate(self.classes):
            colour = f", colour: {list(one.colour)}" if one.colour else ""
            lines.append(f"  - {{name: {scalar(one.name)}{colour}}}  # {self.stored(index)}")
        lines.append(f"ignore: {[value if isinstance(value, int) else list(value) for value in self.ignore]}")
        if self.label_map is not None:
            lines.append("label_map:")
            lines += [f"  {value}: {scalar(name)}" for value, name in self.label_map.items()]
        elif self.label_form != COLOURS:
            lines.append(f"first_label: {self.first_label}")
        return "\n".join([*lines, f"label_form: {self.label_form}", f"label_suffix: {self.label_suffix}", ""])


def scalar(name: str) -> str:
    """A name as YAML, in quotes where it would be read as something else."""
    return name if PLAIN.fullmatch(name) and parse_yaml(name, "") == name else json.dumps(name, ensure_ascii=False)


def read_description(path: Path) -> Stated:
    """What a user's dataset.yaml says of classes and labels. Raises DataError that names the wrong entry, or ConfigError."""
    content = read_yaml(path)
    for key in content:
        if key not in KEYS:
            raise DataError(f"{path} has an unknown key {brief(key)}; expected {', '.join(KEYS)}")
    if {"ignore", "ignore_value"} <= content.keys():
        raise DataError(f"{path} has ignore and ignore_value; keep ignore")
    if {"first_label", "label_map"} <= content.keys():
        raise DataError(f"{path} has first_label and label_map; keep one of them")
    entries = content.get("classes")
    if not isinstance(entries, list):
        raise DataError(f"{path} lists no classes; expected classes: [{{name: road, colour: [128, 64, 128]}}, sky, …]")
    ignore = content.get("ignore", content.get("ignore_value"))
    label_map = content.get("label_map")
    if label_map is not None and not isinstance(label_map, dict):
        raise DataError(f"{path}: label_map is {brief(label_map)}; expected {{7: road, 11: building}}")
    first = content.get("first_label")
    form = content.get("label_form", AUTO)
    if first is not None and not is_value(first):
        raise DataError(f"{path}: first_label is {brief(first)}; expected the stored value of the first class, such as 1")
    if form not in FORMS:
        raise DataError(f"{path}: label_form is {brief(form)}; expected {', '.join(FORMS)}")
    return Stated(
        checked_classes([_class(entry, path, index) for index, entry in enumerate(entries)], str(path)),
        None if ignore is None else tuple(_ignored(each, path) for each in (ignore if isinstance(ignore, list) else [ignore])),
        first,
        label_map if label_map is None else checked_map(label_map, str(path)),
        form,
        str(path),
    )


def is_value(value: object) -> bool:
    """Whether a label file can store this index."""
    return type(value) is int and 0 <= value <= LARGEST_VALUE


def is_colour(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value)


def _class(entry: Any, path: Path, index: int) -> Class:
    if isinstance(entry, str):
        return Class(entry)
    if isinstance(entry, dict) and entry.keys() <= {"name", "colour"} and isinstance(entry.get("name"), str):
        colour = entry.get("colour")
        if colour is None or is_colour(colour):
            return Class(entry["name"], None if colour is None else (colour[0], colour[1], colour[2]))
    raise DataError(
        f"{path}, class {index}: {brief(entry)}; expected a name, or {{name: road, colour: [128, 64, 128]}}, colours 0..255"
    )


def _ignored(value: Any, path: Path) -> Value:
    if is_value(value):
        return int(value)
    if is_colour(value):
        return (value[0], value[1], value[2])
    raise DataError(f"{path}: ignore holds {brief(value)}; expected stored values or colours, such as [255] or [[0, 0, 0]]")


def checked_classes(classes: Sequence[Class], source: str) -> tuple[Class, ...]:
    """The classes; raises DataError if there are none or too many, or if a name is wrong or given twice."""
    if not 1 <= len(classes) <= IGNORED:
        raise DataError(f"{source} names {len(classes)} classes; expected 1 to {IGNORED}")
    names: set[str] = set()
    for index, one in enumerate(classes):
        if not 0 < len(one.name) <= LONGEST_CLASS or not one.name.isprintable() or one.name != one.name.strip():
            raise DataError(f"{source}, class {index}: {brief(one.name)} is no name; expected 1 to {LONGEST_CLASS} letters")
        if one.name in names:
            raise DataError(f"{source} names class {brief(one.name)} twice; expected each once")
        names.add(one.name)
    return tuple(classes)


def checked_map(label_map: Mapping[Any, Any], source: str) -> dict[int, str]:
    """The label map; raises DataError for a key that is no stored value or a name that is none."""
    for value, name in label_map.items():
        if not is_value(value) or not isinstance(name, str):
            raise DataError(
                f"{source}: label_map holds {brief(value)}: {brief(name)}; expected a stored value and a class, 7: road"
            )
    return dict(label_map)


def read_colours(path: Path) -> tuple[Class, ...]:
    """Classes of a text file: a line each, `name r g b`, CVAT's `name:r,g,b::`, or CamVid's `r g b name`.

    Empty lines and those after # are left out. Raises DataError with the line of a mistake.
    """
    classes = []
    for number, line in enumerate(read_lines(path), 1):
        if not line or line.startswith("#"):
            continue
        found = next((match for form in COLOUR_LINES if (match := form.fullmatch(line))), None)
        colour = tuple(int(found[part]) for part in "rgb") if found else ()
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
