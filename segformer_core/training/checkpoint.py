"""Where a run's weights go: one file per saved epoch, and the best by mIoU."""

import math
from pathlib import Path

from segformer_core.files import writable_directory
from segformer_core.learner import Learner
from segformer_core.spec.model import SegFormer
from segformer_core.weights.store import SUFFIX, save_weights


class Checkpoints:
    """Names as in the seed: segformer_mit_b0_12.safetensors, segformer_mit_b0_best.safetensors."""

    def __init__(self, folder: str, spec: SegFormer):
        """Make the folder. Raises UserError if it cannot be written."""
        self.folder = writable_directory(Path(folder))
        self.spec = spec
        self.best_miou = -math.inf

    def path(self, label: int | str) -> Path:
        return self.folder / f"segformer_mit_{self.spec.variant}_{label}{SUFFIX}"

    def save_epoch(self, learner: Learner, epoch: int) -> Path:
        return self._save(learner, self.path(epoch), epoch)

    def save_if_best(self, learner: Learner, epoch: int, miou: float) -> Path | None:
        """Write the best file if `miou` is above every earlier one; a NaN never is."""
        if not miou > self.best_miou:
            return None
        self.best_miou = miou
        return self._save(learner, self.path("best"), epoch, miou=repr(miou))

    def _save(self, learner: Learner, path: Path, epoch: int, **metadata: str) -> Path:
        save_weights(path, self.spec, learner.arrays(), epoch=str(epoch), **metadata)
        return path
