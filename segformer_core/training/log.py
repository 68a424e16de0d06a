"""What a run says: lines on the terminal, around a progress bar, and metrics as one JSON object a line."""

import json
import sys
from pathlib import Path

from tqdm import tqdm


class Log:
    """Prints lines; with `progress`, also a bar with the time left, if the terminal can show one."""

    def __init__(self, metrics_path: Path | None = None):
        self._bar: tqdm | None = None
        self._metrics = metrics_path.open("w", encoding="utf-8") if metrics_path else None

    def __call__(self, line: str) -> None:
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def progress(self, total: int, description: str) -> None:
        self._bar = tqdm(total=total, desc=description, unit="step", disable=None, leave=False, dynamic_ncols=True)

    def advance(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def metrics(self, **values: object) -> None:
        """One line of metrics.jsonl, written through so that a reader sees it at once; a NaN is null."""
        if self._metrics:
            known = {name: None if value != value else value for name, value in values.items()}
            self._metrics.write(json.dumps(known) + "\n")
            self._metrics.flush()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._metrics:
            self._metrics.close()
