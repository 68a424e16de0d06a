"""What a run says: lines on the terminal, around a progress bar, and metrics as one JSON object a line."""

import json
import math
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from segformer_core.files import atomic_write
from segformer_core.training.tensorboard import Board

METRICS = "metrics.jsonl"


class Log:
    """Prints lines; with `progress`, also a bar with the time left, if the terminal can show one.

    A `quiet` one, of a process that is not the first, says and writes nothing.
    """

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self._bar: tqdm | None = None
        self._metrics: Any = None
        self._board: Board | None = None

    def __call__(self, line: str) -> None:
        if not self.quiet:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()

    def record(self, folder: Path, step: int, tensorboard: bool) -> list[dict[str, Any]]:
        """Keep metrics in `folder` from here on; those of an earlier attempt stay up to `step` and are returned."""
        path = folder / METRICS
        known = [entry for entry in read_metrics(path) if entry["step"] <= step]
        if self.quiet:
            return known
        self._board = Board(folder / "tensorboard", step) if tensorboard else None
        text = "".join(json.dumps(entry) + "\n" for entry in known)
        atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        self._metrics = path.open("a", encoding="utf-8")
        return known

    def progress(self, total: int, done: int, description: str) -> None:
        if not self.quiet:
            self._bar = tqdm(
                total=total, initial=done, desc=description, unit="step", disable=None, leave=False, dynamic_ncols=True
            )

    def advance(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def metrics(self, step: int, **values: float) -> None:
        """One line of metrics.jsonl, written through so that a reader sees it at once; NaN and infinity are null."""
        if self._metrics:
            known = {name: value if math.isfinite(value) else None for name, value in values.items()}
            self._metrics.write(json.dumps({"step": step, **known}) + "\n")
            self._metrics.flush()
        if self._board:
            self._board.write(step, values)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._metrics:
            self._metrics.close()
        if self._board:
            self._board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The entries of a metrics.jsonl; a last line that a killed run left half-written is passed over."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries
