"""Writes dataset.yaml: every value is written out, and a comment says what the label files store for each class."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from segformer_core.config.yaml_reading import parse_yaml
from segformer_core.data.classes import COLOURS, Value
from segformer_core.data.colours import RGB
from segformer_core.data.split_files import LABEL_SUFFIX
from segformer_core.errors import one_line

PLAIN = re.compile(r"(\.{0,2}/)?[A-Za-z][A-Za-z0-9_ ./-]*[A-Za-z0-9/]")
"""Text that needs no quotes in YAML, unless it is a word such as yes."""


@dataclass(frozen=True)
class Class:
    """A class by its name; the colour is None where nothing says one. `remark` ends the comment beside it."""

    name: str
    colour: RGB | None = None
    remark: str = ""


@dataclass(frozen=True)
class Draft:
    """What a dataset.yaml is to say. Either `label_map` (stored value -> name) or `first_label` counts.

    `ignore` and `first_label` are None where the user has to say it first; `question` are lines of comments that ask.
    """

    classes: tuple[Class, ...]
    ignore: tuple[Value, ...] | None
    label_form: str
    label_suffix: str = LABEL_SUFFIX
    first_label: int | None = 0
    label_map: Mapping[int, str] | None = None
    question: str = ""

    def stored(self, index: int) -> str:
        """What the label files store for a class, in words."""
        one = self.classes[index]
        if self.label_form == COLOURS or (self.label_map is None and self.first_label is None):
            return f"label {index}"
        if self.label_map is None:
            value = str(index + (self.first_label or 0))
        else:
            value = ", ".join(str(key) for key, name in self.label_map.items() if name == one.name)
        return f"label {index}" + (f", stored as {value}" if value != str(index) else "")

    def text(self, comment: str) -> str:
        """The file's content; `comment` is its first line."""
        lines = [f"# {one_line(comment)}", "classes:"]
        for index, one in enumerate(self.classes):
            colour = f", colour: {list(one.colour)}" if one.colour else ""
            remark = f": {one.remark}" if one.remark else ""
            lines.append(f"  - {{name: {scalar(one.name)}{colour}}}  # {self.stored(index)}{remark}")
        if self.ignore is not None:
            lines.append(f"ignore: {[value if isinstance(value, int) else list(value) for value in self.ignore]}")
        if self.label_map is not None:
            lines.append("label_map:")
            lines += [f"  {value}: {scalar(name)}" for value, name in self.label_map.items()]
        elif self.label_form != COLOURS and self.first_label is not None:
            lines.append(f"first_label: {self.first_label}")
        return "\n".join([*lines, f"label_form: {self.label_form}", f"label_suffix: {self.label_suffix}", self.question])


def scalar(text: str) -> str:
    """Text as YAML, in quotes where it would be read as something else."""
    return text if PLAIN.fullmatch(text) and parse_yaml(text, "") == text else json.dumps(text, ensure_ascii=False)
