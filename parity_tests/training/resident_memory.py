"""Resident memory of a long run: `python -m parity_tests.training.resident_memory torch 100`.

Trains a tiny run of that many epochs, each followed by an evaluation and a save, and prints the megabytes after some of them.
"""

import sys
import tempfile
from contextlib import redirect_stdout
from importlib import import_module
from os import devnull
from pathlib import Path
from unittest.mock import patch

from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.training_runs import SMALL, flags
from segformer_core.cli import main
from segformer_core.training import loop

SHOWN = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
PAGE_MEGABYTES = 4096 / 1e6


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MEGABYTES


def measured(backend: str, epochs: int) -> list[float]:
    """Resident megabytes after the evaluation of each epoch."""
    megabytes: list[float] = []
    evaluate_now = loop.evaluate_now

    def evaluate_and_measure(*arguments: object) -> None:
        evaluate_now(*arguments)  # type: ignore[arg-type]
        megabytes.append(resident_megabytes())

    with tempfile.TemporaryDirectory() as folder:
        root = write_folder_dataset(Path(folder) / "set", images=4, validation=2)
        keys = {"data_path": root, "checkpoint_path": Path(folder) / "run", "epoch_size": epochs, "keep_checkpoints": 2}
        connect = import_module(f"backend_{backend}.device").connect
        with patch.object(loop, "evaluate_now", evaluate_and_measure), open(devnull, "w") as out, redirect_stdout(out):
            assert main("train", connect, flags(SMALL | keys)) == 0
    return megabytes


if __name__ == "__main__":
    found = measured(sys.argv[1], int(sys.argv[2]))
    print(", ".join(f"{epoch}: {found[epoch - 1]:.0f} MB" for epoch in SHOWN if epoch <= len(found)))
