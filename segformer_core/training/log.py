"""The output of a run: lines and a progress bar on the terminal, and metrics.jsonl with one JSON object per line."""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from segformer_core.files import write_text
from segformer_core.output import OutputLost
from segformer_core.training.metrics import METRICS, appending, line_of, read_metrics
from segformer_core.training.tensorboard import Board


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

    def record(self, folder: Path, step: int, tensorboard: bool) -> list[Mapping[str, Any]]:
        """Write metrics in `folder` from now on. Those of an earlier attempt are kept up to `step` and returned.

        Raises UserError if they cannot be written.
        """
        path = folder / METRICS
        found = read_metrics(path)
        kept = [entry for entry in found.entries if entry["step"] <= step]
        if self.quiet:
            return kept
        if found.broken:
            count = f"{len(found.broken)} lines that are no metrics, first line {found.broken[0]}"
            self(f"WARNING: {path} holds {count}; they are left out")
        self._board = Board(folder / "tensorboard", step) if tensorboard else None
        write_text(path, "".join(line_of(entry["step"], entry) for entry in kept))
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
        """Write a line of metrics.jsonl, flushed so that a reader sees it at once. Raises UserError if it cannot be written."""
        if self._metrics:
            with appending(Path(self._metrics.name)):
                self._metrics.write(line_of(step, values))
                self._metrics.flush()
        if self._board:
            self._board.write(step, values)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._metrics:
            with suppress(OSError):  # what a full disk did not take stays in the buffer, and `metrics` has said so
                self._metrics.close()
        if self._board:
            self._board.close()
