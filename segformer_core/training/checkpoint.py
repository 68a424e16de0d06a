"""Where a training run's state goes: one file per checkpoint, which either backend can resume, and the best weights by mIoU."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.config.keys import KEYS, Config, flat
from segformer_core.errors import TrainingError, WeightsError
from segformer_core.files import temporary_name, writable_directory
from segformer_core.protocol.learner import Learner
from segformer_core.spec.arrays import array_specs
from segformer_core.spec.model import SegFormer
from segformer_core.weights import containers
from segformer_core.weights.containers.stored import Stored
from segformer_core.weights.dialects.own import OPTIMIZER
from segformer_core.weights.store import SUFFIX, save_described, save_weights, sha256

VERSION = 1
"""Of what a checkpoint holds besides the weights."""

NEW_RUN, NEWEST = "none", "auto"
"""What `resume` can say besides a path."""

BEST = "best"


@dataclass(frozen=True)
class Checkpoint:
    """A training run after `step` steps."""

    path: Path
    step: int
    weights: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]


class Checkpoints:
    """A folder of checkpoints, named as in the seed: segformer_mit_b0_12.safetensors, segformer_mit_b0_best.safetensors.

    `about` is what a resumed run must agree with besides the configuration: the dataset's size.
    """

    def __init__(self, folder: str, spec: SegFormer, config: Config, about: Mapping[str, int]):
        """Make the folder. Raises UserError if it cannot be written."""
        self.folder = writable_directory(Path(folder))
        for half_written in self.folder.glob(temporary_name(Path(f"segformer_mit_*{SUFFIX}"), "*").name):
            half_written.unlink(missing_ok=True)  # by a run that was killed
        self.spec, self.keep = spec, config.training.keep_checkpoints
        self.decided = {**decisive_values(config), **about}
        self.best_miou = -math.inf

    def path(self, label: int | str) -> Path:
        return self.folder / f"segformer_mit_{self.spec.variant}_{label}{SUFFIX}"

    def save(self, learner: Learner, label: int | str, step: int) -> Path:
        """Weights, optimizer and what the run was configured with; then let go of the oldest beyond `keep_checkpoints`."""
        arrays = learner.arrays() | {OPTIMIZER + name: array for name, array in learner.optimizer_arrays().items()}
        metadata = {"checkpoint": str(VERSION), "step": str(step), "config": json.dumps(self.decided)}
        path = self.path(label)
        save_described(path, self.spec, arrays, metadata)
        if self.keep:
            for old in self.resumable()[self.keep :]:
                old.unlink()
        return path

    def save_if_best(self, learner: Learner, step: int, miou: float) -> Path | None:
        """Write the best file if `miou` is above every earlier one; a NaN never is."""
        if not miou > self.best_miou:
            return None
        self.best_miou = miou
        path = self.path(BEST)
        save_weights(path, self.spec, learner.arrays(), step=str(step), miou=repr(miou))
        return path

    def resumable(self, say: Callable[[str], None] = lambda _: None) -> list[Path]:
        """The folder's checkpoints, newest first. `say` hears of files that cannot be read."""
        steps = {}
        for path in self._files():
            try:
                metadata = _metadata(path)
            except WeightsError as error:
                say(f"passed over: {error}")
                continue
            if "checkpoint" in metadata:
                steps[path] = int(metadata["step"])
        return sorted(steps, key=lambda path: steps[path], reverse=True)

    def to_resume(self, resume: str, say: Callable[[str], None]) -> Checkpoint | None:
        """What the run goes on from; None for a new run. Raises TrainingError.

        Of the folder's own checkpoints a damaged one is named and the one before it taken. A new run refuses a folder that
        holds another run's weights: it would write over them.
        """
        if resume not in (NEWEST, NEW_RUN):
            checkpoint = self._read(Path(resume))
            if checkpoint.path.resolve().parent != self.folder.resolve():
                self._refuse_strangers(f"resuming {resume} from elsewhere")
            else:
                self._know_best(checkpoint.step)
            return checkpoint
        damaged: list[str] = []
        for path in self.resumable(damaged.append) if resume == NEWEST else []:
            try:
                checkpoint = self._read(path)
            except WeightsError as error:
                damaged.append(f"passed over: {error}")
                continue
            self._know_best(checkpoint.step)
            for sentence in damaged:
                say(sentence)
            return checkpoint
        self._refuse_strangers("; ".join([*damaged, "a new run"]))
        return None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"segformer_mit_*{SUFFIX}"))

    def _refuse_strangers(self, what: str) -> None:
        files = self._files()
        if files:
            raise TrainingError(
                f"{self.folder} holds {files[0].name}{' and others' if len(files) > 1 else ''} of an earlier run ({what} would "
                "write over them); choose another checkpoint_path, or move them away"
            )

    def _know_best(self, step: int) -> None:
        """Take over the best mIoU, unless it is of a later step than the run goes on from."""
        path = self.path(BEST)
        metadata = _metadata(path) if path.is_file() else {}
        if int(metadata.get("step", step + 1)) <= step:
            self.best_miou = float(metadata["miou"])

    def _read(self, path: Path) -> Checkpoint:
        """Raises WeightsError if the file is missing or damaged, TrainingError if it is sound and does not fit."""
        with containers.opened(path) as content:
            if "checkpoint" not in content.metadata:
                raise TrainingError(
                    f"{path} holds weights but no state of a training run; to start from the weights, use --pretrained_ckpt_path"
                )
            if int(content.metadata["checkpoint"]) > VERSION:
                raise TrainingError(f"{path} was written by a newer version of this project; update this one to resume from it")
            self._check(json.loads(content.metadata["config"]), path)
            arrays = {name: stored.load() for name, stored in content.tree.items() if isinstance(stored, Stored)}
            if sha256(arrays) != content.metadata["sha256"]:
                raise WeightsError(f"{path} is damaged: its contents do not have the hash that they were saved with")
            weights = {array.name: arrays.pop(array.name) for array in array_specs(self.spec)}
            optimizer = {name.removeprefix(OPTIMIZER): array for name, array in arrays.items()}
            return Checkpoint(path, int(content.metadata["step"]), weights, optimizer)

    def _check(self, held: Mapping[str, Any], path: Path) -> None:
        """Raise one TrainingError that lists every key that decides a run's result and differs."""
        differences = [
            f"{name} is {held.get(name)} there and {wanted} here"
            for name, wanted in self.decided.items()
            if held.get(name) != wanted
        ]
        if differences:
            raise TrainingError(
                f"{path} is of another run: {', '.join(differences)}; set them alike, or choose another checkpoint_path for a "
                "new run"
            )


def decisive_values(config: Config) -> dict[str, Any]:
    """The values that a training run's result depends on, as JSON gives them back."""
    values = {name: value for name, value in flat(config).items() if KEYS[name].metadata["decides"]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _metadata(path: Path) -> Mapping[str, str]:
    with containers.opened(path) as content:
        return content.metadata
