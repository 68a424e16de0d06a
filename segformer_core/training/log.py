"""The output of a run: lines and a progress bar on the terminal, and metrics.jsonl with one JSON object per line."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from segformer_core.files import atomic_write
from segformer_core.output import OutputLost
from segformer_core.training.tensorboard import Board

METRICS = "metrics.jsonl"


class Log:
    """Prints lines and, after `progress`, a bar with the time left if standard error is a terminal.

    A `quiet` log, which every process but the first has, prints and writes nothing. Where `lost` is set it is called when
    standard output fails, instead of an exception: a training run first ends its step and saves.
    """

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.lost: Callable[[OutputLost], object] | None = None
        self._bar: tqdm | None = None
        self._metrics: Any = None
        self._board: Board | None = None

    def __call__(self, line: str) -> None:
        if self.quiet:
            return
        try:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()
        except OutputLost as error:
            if self.lost is None:
                raise
            self.lost(error)

    def record(self, folder: Path, step: int, tensorboard: bool) -> list[dict[str, Any]]:
        """Write metrics in `folder` from now on. Those of an earlier attempt are kept up to `step` and returned."""
        path = folder / METRICS
        kept = [entry for entry in read_metrics(path) if entry["step"] <= step]
        if self.quiet:
            return kept
        self._board = Board(folder / "tensorboard", step) if tensorboard else None
        text = "".join(json.dumps(entry) + "\n" for entry in kept)
        atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        self._metrics = path.open("a", encoding="utf-8")
        return kept

    def progress(self, total: int, step: int, description: str) -> None:
        if not self.quiet:
            self._bar = tqdm(
                total=total, initial=step, desc=description, unit="step", disable=None, leave=False, dynamic_ncols=True
            )

    def advance(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def metrics(self, step: int, **values: float) -> None:
        """Write a line of metrics.jsonl, flushed so that a reader sees it at once; NaN and infinity become null."""
        if self._metrics:
            finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
            self._metrics.write(json.dumps({"step": step, **finite}) + "\n")
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
    """The entries of a metrics.jsonl, without a last line that a killed run left half-written; none if there is no file."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries
