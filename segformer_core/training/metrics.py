"""metrics.jsonl: one JSON object per line, with the step and the numbers that were measured at it."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segformer_core.errors import UserError

METRICS = "metrics.jsonl"
VALIDATION_LOSS = "val_loss"
IOU = "iou/"
"""Before the name of a class, in the name of the metric that is its IoU."""


@dataclass(frozen=True)
class Metrics:
    """The entries of a file, in its order, and the numbers, from 1, of lines that are none; a number that is None is unknown."""

    entries: tuple[Mapping[str, Any], ...]
    broken: tuple[int, ...]


def read_metrics(path: Path) -> Metrics:
    """What can be read of the file. A last line that a killed run left half-written does not count as broken."""
    try:
        raw = path.read_bytes() if path.is_file() else b""
    except OSError:
        raw = b""
    lines = raw.splitlines(keepends=True)
    read = [_entry(line) for line in lines]
    if lines and read[-1] is None and not lines[-1].endswith(b"\n"):
        read.pop()
    broken = tuple(number for number, entry in enumerate(read, start=1) if entry is None)
    return Metrics(tuple(entry for entry in read if entry is not None), broken)


@contextmanager
def appending(path: Path) -> Iterator[None]:
    """Raise UserError if this block, which adds to `path`, finds the disk full or gone."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; the checkpoints so far are sound: free some space, and the same "
            "command goes on from the newest"
        ) from error


def line_of(step: int, values: Mapping[str, float]) -> str:
    """A line of the file; NaN and infinity, which JSON has not, become null."""
    return json.dumps({"step": step, **{name: _finite(value) for name, value in values.items()}}) + "\n"


def _entry(line: bytes) -> dict[str, Any] | None:
    """The line's entry; None if it is no object of a step and numbers."""
    try:
        entry = json.loads(line)
        step = entry.pop("step")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None
    numbers = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in entry.values())
    if not isinstance(step, int) or isinstance(step, bool) or step < 0 or not numbers:
        return None
    try:
        return {"step": step, **{name: _finite(value) for name, value in entry.items()}}
    except OverflowError:  # an integer that no float holds
        return None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
