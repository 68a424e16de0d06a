"""One of several processes with a share of a batch: `python -m parity_tests.training.shared_objective BACKEND FOLDER LOSS`.

FOLDER/inputs.npz holds the logits and labels of all; process N takes its share and writes FOLDER/N.npz: its loss, and the
gradient by its logits.
"""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np

from parity_tests.training.objectives import of_backend
from segformer_core.config.keys import LossConfig, RuntimeConfig


def main(backend: str, folder: Path, loss: str) -> None:
    processes = import_module(f"backend_{backend}.device").connect(RuntimeConfig(device_target="CPU", precision="fp32")).processes
    with np.load(folder / "inputs.npz") as inputs:
        share = [np.array_split(inputs[name], processes.count)[processes.rank] for name in ("logits", "labels")]
    value, gradient = of_backend(backend, LossConfig(loss=loss))(*share)
    np.savez(folder / f"{processes.rank}.npz", loss=value, gradient=gradient)
    processes.leave()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
