"""One of several processes that rank their pixels together: `python -m parity_tests.training.shared_pixels BACKEND FOLDER`.

FOLDER/inputs.npz holds the probabilities and labels of all; process N takes its share and writes FOLDER/N.npy.
"""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np

from parity_tests.training.losses import hard_pixels
from segformer_core.config.keys import LossConfig, RuntimeConfig

HARD = LossConfig(ohem_threshold=0.3, ohem_min_kept=100)


def main(backend: str, folder: Path) -> None:
    processes = import_module(f"backend_{backend}.device").connect(RuntimeConfig(device_target="CPU", precision="fp32")).processes
    with np.load(folder / "inputs.npz") as inputs:
        p, labels = (np.array_split(inputs[name], processes.count)[processes.rank] for name in ("p", "labels"))
    np.save(folder / f"{processes.rank}.npy", hard_pixels(backend, HARD)(p, labels))
    processes.leave()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
