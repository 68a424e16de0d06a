"""Saves and reads a training run's state: checkpoints, which either backend can resume, and the best weights by mIoU."""

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
"""The version of what a checkpoint holds besides the weights."""

NEW_RUN, NEWEST = "none", "auto"
"""The values of `resume` that are not a path."""

BEST = "best"


@dataclass(frozen=True)
class Checkpoint:
    """A training run after `step` steps."""

    path: Path
    step: int
    weights: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]


class Checkpoints:
    """A folder of checkpoints with the original repository's names: segformer_mit_b0_12.safetensors, …_best.safetensors.

    `about` holds what a resumed run must agree with besides the configuration, such as the dataset's size.
    """

    def __init__(self, folder: str, spec: SegFormer, config: Config, about: Mapping[str, int]):
        """Make the folder. Raises UserError if it cannot be written."""
        self.folder = writable_directory(Path(folder))
        for half_written in self.folder.glob(temporary_name(Path(f"segformer_mit_*{SUFFIX}"), "*").name):
            half_written.unlink(missing_ok=True)  # a killed run left it
        self.spec, self.keep = spec, config.training.keep_checkpoints
        self.decisive = {**decisive_values(config), **about}
        self.best_miou = -math.inf

    def path(self, label: int | str) -> Path:
        return self.folder / f"segformer_mit_{self.spec.variant}_{label}{SUFFIX}"

    def save(self, learner: Learner, label: int | str, step: int) -> Path:
        """Write weights, optimizer and decisive values to a file; then delete the oldest files beyond `keep_checkpoints`."""
        arrays = learner.arrays() | {OPTIMIZER + name: array for name, array in learner.optimizer_arrays().items()}
        metadata = {"checkpoint": str(VERSION), "step": str(step), "config": json.dumps(self.decisive)}
        path = self.path(label)
        save_described(path, self.spec, arrays, metadata)
        if self.keep:
            for old in self.resumable()[self.keep :]:
                old.unlink()
        return path

    def save_if_best(self, learner: Learner, step: int, miou: float) -> Path | None:
        """Write the best weights if `miou` is above every earlier one, which NaN never is. Returns the path, or None."""
        if not miou > self.best_miou:
            return None
        self.best_miou = miou
        path = self.path(BEST)
        save_weights(path, self.spec, learner.arrays(), step=str(step), miou=repr(miou))
        return path

    def resumable(self, log: Callable[[str], None] = lambda _: None) -> list[Path]:
        """The folder's checkpoints, newest first. `log` is called for each file that cannot be read."""
        steps = {}
        for path in self._files():
            try:
                metadata = _metadata(path)
            except WeightsError as error:
                log(f"passed over: {error}")
                continue
            if "checkpoint" in metadata:
                steps[path] = int(metadata["step"])
        return sorted(steps, key=lambda path: steps[path], reverse=True)

    def to_resume(self, resume: str, log: Callable[[str], None]) -> Checkpoint | None:
        """The checkpoint from which the run goes on; None for a new run. Raises TrainingError, WeightsError.

        In the folder, a damaged checkpoint is reported to `log` and the one before it is used. A folder that holds another
        run's weights is refused, because this run would overwrite them.
        """
        if resume not in (NEWEST, NEW_RUN):
            checkpoint = self._read(Path(resume))
            if checkpoint.path.resolve().parent != self.folder.resolve():
                self._refuse_another_run(f"resuming {resume} from elsewhere")
            else:
                self._restore_best(checkpoint.step)
            return checkpoint
        damaged: list[str] = []
        for path in self.resumable(damaged.append) if resume == NEWEST else []:
            try:
                checkpoint = self._read(path)
            except WeightsError as error:
                damaged.append(f"passed over: {error}")
                continue
            self._restore_best(checkpoint.step)
            for sentence in damaged:
                log(sentence)
            return checkpoint
        self._refuse_another_run("; ".join([*damaged, "a new run"]))
        return None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"segformer_mit_*{SUFFIX}"))

    def _refuse_another_run(self, what: str) -> None:
        """Raise TrainingError if the folder holds weights; `what` names the run that would overwrite them."""
        files = self._files()
        if files:
            raise TrainingError(
                f"{self.folder} holds {files[0].name}{' and others' if len(files) > 1 else ''} of an earlier run ({what} would "
                "write over them); choose another checkpoint_path, or move them away"
            )

    def _restore_best(self, step: int) -> None:
        """Read the best mIoU so far; one that was measured after `step`, from which the run goes on, does not count."""
        path = self.path(BEST)
        metadata = _metadata(path) if path.is_file() else {}
        if int(metadata.get("step", step + 1)) <= step:
            self.best_miou = float(metadata["miou"])

    def _read(self, path: Path) -> Checkpoint:
        """Raises WeightsError if the file is missing or damaged, TrainingError if it does not fit this run."""
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

    def _check(self, saved: Mapping[str, Any], path: Path) -> None:
        """Raise a TrainingError that lists every decisive value that differs from the saved one."""
        differences = [
            f"{name} is {saved.get(name)} there and {value} here"
            for name, value in self.decisive.items()
            if saved.get(name) != value
        ]
        if differences:
            raise TrainingError(
                f"{path} is of another run: {', '.join(differences)}; use the same values, or choose another checkpoint_path "
                "for a new run"
            )


def decisive_values(config: Config) -> dict[str, Any]:
    """The values on which a training run's result depends, in the types that JSON returns."""
    values = {name: value for name, value in flat(config).items() if KEYS[name].metadata["decides"]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _metadata(path: Path) -> Mapping[str, str]:
    with containers.opened(path) as content:
        return content.metadata
