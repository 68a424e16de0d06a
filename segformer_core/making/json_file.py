"""JSON of annotation tools, from anywhere: bounded, plain values alone, and each mistake with its place in one sentence."""

import json
from pathlib import Path
from typing import Any, NoReturn

from segformer_core.errors import DataError, brief
from segformer_core.files import special_file

LARGEST_BYTES = 2**30
"""COCO's own file of 118,287 training images has 449 MiB."""

Points = list[tuple[float, float]]


def read_object(path: Path) -> dict[str, Any]:
    """The object in a file. Raises DataError if it is no regular file, too large, damaged or something else."""
    if special := special_file(path):
        raise DataError(f"{path} is {special}; expected a JSON file")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; choose another file") from error
    if len(data) > LARGEST_BYTES:
        raise DataError(f"{path} has more than {LARGEST_BYTES >> 20} MiB; expected annotations: divide the file")
    try:
        content = json.loads(data.decode("utf-8-sig"), parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} is no whole JSON: {error.msg} at line {error.lineno}, column {error.colno}; export it again"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 (byte {error.start}); export it again") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); export it again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, which is no file of annotations; expected an object")
    return content


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


class Place:
    """Where in a file a value stands; makes the sentences. `Place(path)["images"][3]` reads as PATH, images[3]."""

    def __init__(self, path: Path, words: str = ""):
        self.path, self.words = path, words

    def __getitem__(self, key: str | int) -> "Place":
        step = f"[{key}]" if isinstance(key, int) else f".{key}" if self.words else key
        return Place(self.path, self.words + step)

    def refuse(self, value: object, expected: str) -> NoReturn:
        raise DataError(f"{self.path}, {self.words} is {brief(value)}; expected {expected}")

    def entries(self, value: object) -> list[Any]:
        if not isinstance(value, list):
            self.refuse(value, "a list")
        return value

    def mapping(self, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.refuse(value, "an object")
        return value

    def text(self, value: object) -> str:
        if not isinstance(value, str) or not value or not value.isprintable():
            self.refuse(value, "a text")
        return value.strip()

    def integer(self, value: object, low: int = 0, high: int = 2**53) -> int:
        if isinstance(value, float) and value.is_integer():  # some tools write 640.0
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            self.refuse(value, f"a whole number from {low}" + (f" to {high}" if high < 2**53 else ""))
        return value

    def number(self, value: object, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.refuse(value, f"a coordinate, and not far outside of the image ({low:g} to {high:g})")
        return float(value)
