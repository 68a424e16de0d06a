"""dataset.yaml: the classes of a folder data set, how its label files store them, and where its files are.

classes:
  - {name: sky, colour: [128, 128, 128]}     # label 0
  - road                                     # label 1; a colour is made for it
ignore: [255]                                # all other keys are optional; docs/your-data.md explains them
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from segformer_core.config.files import find_config
from segformer_core.config.yaml_reading import read_yaml
from segformer_core.data.classes import AUTO, COLOURS, FORMS, IGNORED, INDICES, LARGEST_VALUE, Classes, Labelling, Value
from segformer_core.data.colours import RGB, class_colours
from segformer_core.data.label_form import NAMED_COLOUR, missing_colour
from segformer_core.data.split_files import Files, read_files
from segformer_core.errors import DataError, brief, plural

FILE_NAME = "dataset.yaml"
KEYS = (
    *("classes", "ignore", "ignore_value", "first_label", "label_map", "label_form"),
    *("label_suffix", "image_suffix", "splits"),
)
LONGEST_CLASS = 100
"""Letters of a class's name."""
TOGETHER = (("ignore", "ignore_value"), ("first_label", "label_map"))
"""Keys that say the same in two ways."""
ALSO = "colours 0..255, or the name alone; put words such as no and on, and numbers, in quotes"


@dataclass(frozen=True)
class Description:
    """What a dataset.yaml says."""

    classes: Classes
    files: Files


def find_description(root: Path, dataset_file: str) -> Path | None:
    """The YAML that `dataset_file` names, else the one in the dataset's folder; None if there is none. Raises ConfigError."""
    if dataset_file:
        return find_config(dataset_file)
    return root / FILE_NAME if (root / FILE_NAME).is_file() else None


def read_description(path: Path) -> Description:
    """Raises DataError that names the wrong entry; ConfigError if the file is no YAML."""
    content = read_yaml(path)
    unknown = [key for key in content if key not in KEYS]
    if unknown:
        raise DataError(f"{path} has an unknown key {brief(unknown[0])}; expected {', '.join(KEYS)}")
    names, colours = _classes(path, content.get("classes"))
    labelling = _labelling(path, content, names, colours)
    classes = Classes(names, class_colours(colours, labelling.ignored_colours), labelling, str(path))
    _check_ignored(classes)
    if labelling.form == COLOURS and (fault := missing_colour(classes)):
        raise DataError(f"{path} has label_form: colours, and {fault}")
    return Description(classes, read_files(path, content))


def read_classes(path: Path) -> Classes:
    """The classes that a description lists, and how labels store them. Raises UserError, as `read_description`."""
    return read_description(path).classes


def _classes(path: Path, entries: Any) -> tuple[tuple[str, ...], tuple[RGB | None, ...]]:
    """Names and colours, None where there is none."""
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} lists no classes; expected classes: [{NAMED_COLOUR}, …]")
    names, colours = [], []
    for index, entry in enumerate(entries):
        parts = entry if isinstance(entry, dict) else {"name": entry}
        name, colour = parts.get("name"), parts.get("colour")
        if not is_name(name) or parts.keys() - {"name", "colour"} or not ("colour" not in parts or is_colour(colour)):
            raise DataError(f"{path}, class {index}: {brief(entry)}; expected {NAMED_COLOUR}, {ALSO}")
        names.append(name)
        colours.append((colour[0], colour[1], colour[2]) if colour else None)
    check_names(names, str(path))
    return tuple(names), tuple(colours)


def _labelling(path: Path, content: Mapping[str, Any], names: tuple[str, ...], colours: tuple[RGB | None, ...]) -> Labelling:
    for one, other in TOGETHER:
        if one in content and other in content:
            raise DataError(f"{path} has {one} and {other}, which say the same in two ways; keep one of them")
    form = content.get("label_form", AUTO)
    if form not in FORMS:
        raise DataError(f"{path}: label_form is {brief(form)}; expected {', '.join(FORMS)}")
    values = _values(path, content, names)
    if values and form == COLOURS:
        key = "label_map" if "label_map" in content else "first_label"
        raise DataError(f"{path} has label_form: colours and {key}, which maps values; name the classes' colours in its place")
    ignored = _ignored(path, content)
    return Labelling(
        form=INDICES if values else form,
        stated=bool(values) or form != AUTO,
        values=values,
        ignore=None if ignored is None else tuple(entry for entry in ignored if isinstance(entry, int)),
        colours=tuple((colour, index) for index, colour in enumerate(colours) if colour),
        ignored_colours=tuple(entry for entry in ignored or () if not isinstance(entry, int)),
        mapped="label_map" in content,
    )


def _values(path: Path, content: Mapping[str, Any], names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """(stored value, class index) of label_map or first_label; empty if the index itself is stored."""
    if "label_map" in content:
        entries = content["label_map"]
        if not isinstance(entries, dict) or not entries:
            raise DataError(f"{path}: label_map is {brief(entries)}; expected values and names of classes: {{7: road, 8: road}}")
        for value, name in entries.items():
            if not is_value(value):
                raise DataError(f"{path}: label_map has the value {brief(value)}; expected 0..{LARGEST_VALUE}")
            if name not in names:
                raise DataError(
                    f"{path}: label_map maps {value} to {brief(name)}, which classes does not list; expected one of its names "
                    f"({brief(', '.join(names))}); values that do not count stand in ignore"
                )
        return tuple((value, names.index(name)) for value, name in entries.items())
    first = content.get("first_label", 0)
    largest = LARGEST_VALUE - len(names) + 1
    if not is_value(first) or first > largest:
        raise DataError(f"{path}: first_label is {brief(first)}; expected the stored value of the first class, 0..{largest}")
    return tuple((first + index, index) for index in range(len(names))) if first else ()


def _ignored(path: Path, content: Mapping[str, Any]) -> tuple[Value, ...] | None:
    """What does not count, as `ignore` or `ignore_value` says; None if neither is there."""
    if "ignore_value" in content:
        value = content["ignore_value"]
        if not is_value(value):
            raise DataError(f"{path}: ignore_value is {brief(value)}; expected a stored value, 0..{LARGEST_VALUE}")
        return (value,)
    if "ignore" not in content:
        return None
    entries = content["ignore"]
    if not isinstance(entries, list):
        raise DataError(f"{path}: ignore is {brief(entries)}; expected a list of values and colours: [255] or [0, [0, 0, 0]]")
    wrong = [entry for entry in entries if not is_value(entry) and not is_colour(entry)]
    if wrong:
        raise DataError(
            f"{path}: ignore holds {brief(wrong[0])}; expected values 0..{LARGEST_VALUE} and colours such as [0, 0, 0]"
        )
    ignored = tuple(tuple(entry) if isinstance(entry, list) else entry for entry in entries)
    if len(set(ignored)) < len(ignored):
        raise DataError(f"{path}: ignore is {brief(entries)}, with one of them twice; a colour stands in brackets: [[0, 0, 0]]")
    return ignored


def _check_ignored(classes: Classes) -> None:
    """Raises DataError, with the question what is meant, if something that is ignored is a class's value or colour."""
    labelling, names, source = classes.labelling, classes.names, classes.source
    values = {} if labelling.form == COLOURS else labelling.class_values(len(names))
    for value in labelling.ignore or ():
        if value not in values:
            continue
        name = brief(names[values[value]])
        if labelling.mapped:
            raise DataError(f"{source} ignores label {value}, and label_map maps it to {name}; take it out of one of them")
        if value == 0:
            raise DataError(
                f"{source} ignores label 0, and label 0 is the first of its {len(names)} classes, {name}: if the labels are "
                f"1..{len(names)}, write first_label: 1; if label 0 is {name}, do not ignore 0"
            )
        raise DataError(f"{source} ignores label {value}, which is class {name}; do not ignore it, or take the class out")
    for colour, index in labelling.colours:
        if colour in labelling.ignored_colours:
            raise DataError(
                f"{source} ignores the colour {list(colour)}, which is class {brief(names[index])}; change one of them"
            )


def check_names(names: Sequence[str], source: str) -> None:
    """Raises DataError if there are no classes or too many, or if a name is wrong or given twice."""
    if not 1 <= len(names) <= IGNORED:
        there = plural(len(names), "class")
        raise DataError(f"{source} lists {there}; expected 1 to {IGNORED}, as a label map holds 8 bits a pixel")
    for index, name in enumerate(names):
        if not is_name(name):
            raise DataError(f"{source}, class {index}: {brief(name)} is no name; expected 1 to {LONGEST_CLASS} letters")
        if name in names[:index]:
            raise DataError(f"{source} names class {brief(name)} twice")


def is_name(entry: object) -> TypeGuard[str]:
    """Whether an entry can be the name of a class."""
    return isinstance(entry, str) and entry.isprintable() and entry.strip() != "" and len(entry) <= LONGEST_CLASS


def is_value(entry: object) -> bool:
    """Whether an entry is a number that a label file can store."""
    return type(entry) is int and 0 <= entry <= LARGEST_VALUE


def is_colour(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 3 and all(type(part) is int and 0 <= part <= 255 for part in entry)
