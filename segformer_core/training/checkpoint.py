"""A folder of a training run's checkpoints, which either backend can resume, and of the best weights by mIoU."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from segformer_core.config.keys import KEYS, Config, flat
from segformer_core.config.remembered import recipe_of
from segformer_core.data.dataset import Classes
from segformer_core.errors import TrainingError, WeightsError, brief
from segformer_core.files import temporary_name, writable_directory
from segformer_core.protocol.learner import Learner
from segformer_core.spec.model import SegFormer
from segformer_core.training.checkpoint_file import (
    NAME,
    Checkpoint,
    Header,
    opened_checkpoint,
    read_best,
    read_header,
    write_checkpoint,
)
from segformer_core.training.curves import CURVES
from segformer_core.training.hold import Hold
from segformer_core.training.metrics import METRICS, read_metrics
from segformer_core.training.new_run import new_run_command
from segformer_core.weights.remembered import Stated, metadata_of
from segformer_core.weights.store import SUFFIX, save_weights

NEW_RUN, NEWEST = "none", "auto"
"""The values of `resume` that are not a path."""

BEST = "best"

OF_THE_WEIGHTS = {"backbone", "in_channels", "decoder_width", "numerics"}
"""Keys of a network that can start from another's weights only if it agrees in them."""

WRITTEN = (f"segformer_mit_*{SUFFIX}", METRICS, CURVES)
"""Patterns of the files that a run writes by way of a temporary file."""


class Checkpoints:
    """A folder of checkpoints with the original repository's names: segformer_mit_b0_12.safetensors, …_best.safetensors.

    `about` holds what a resumed run must agree with besides the configuration, such as the dataset's size;
    what a checkpoint does not know of it is not compared. The files keep
    `classes`, the dataset's, and the recipe, so that whoever labels with them needs neither.
    """

    def __init__(
        self, folder: str, spec: SegFormer, config: Config, about: Mapping[str, int | str], classes: Classes | None = None
    ):
        """Make the folder. Raises UserError if it cannot be written, TrainingError if another run holds it."""
        self.folder = writable_directory(Path(folder))
        self._hold = Hold(self.folder)
        self._hold.check()
        self.spec, self.keep = spec, config.training.keep_checkpoints
        self.decisive = {**decisive_values(config), **about}
        self.part = config.model.ckpt_part
        self.recipe = recipe_of(config)
        names, colours = (classes.names, classes.colours) if classes else ((), ())
        self.described = metadata_of(Stated(names, colours=colours, recipe=self.recipe))
        self.best_miou = -math.inf
        self._seen: dict[Path, tuple[int, int]] | None = None

    def take(self, log: Callable[[str], None]) -> None:
        """Hold the folder, for the one process that writes in it, and delete what killed runs have left half-written.

        Raises TrainingError if another run holds the folder, or has changed it since `to_resume` read it.
        """
        self._hold.take(log)
        if self._seen not in (None, self._state()):
            self.release()
            raise TrainingError(f"another run has changed {self.folder} while this one was starting; start this one again")
        for pattern in WRITTEN:
            for half_written in self.folder.glob(temporary_name(Path(pattern), "*").name):
                with suppress(OSError):
                    half_written.unlink()

    def release(self) -> None:
        """Let another run have the folder."""
        self._hold.release()

    def path(self, label: int | str) -> Path:
        return self.folder / f"segformer_mit_{self.spec.variant}_{label}{SUFFIX}"

    def save(self, learner: Learner, label: int | str, step: int) -> Path:
        """Write weights, optimizer and decisive values to a file; then delete the oldest files beyond `keep_checkpoints`."""
        path = self.path(label)
        write_checkpoint(path, learner, self.spec, step, self.recipe | self.decisive, self.described)
        if self.keep:
            for old in self.resumable()[self.keep :]:
                with suppress(OSError):  # what cannot be deleted stays
                    old.unlink()
        return path

    def save_if_best(self, learner: Learner, step: int, miou: float) -> Path | None:
        """Write the best weights if `miou` is above every earlier one, which NaN never is. Returns the path, or None."""
        if not miou > self.best_miou:
            return None
        self.best_miou = miou
        path = self.path(BEST)
        save_weights(path, self.spec, learner.arrays(), step=str(step), miou=repr(miou), **self.described)
        return path

    def resumable(self, log: Callable[[str], None] = lambda _: None) -> list[Path]:
        """The folder's checkpoints, newest first. `log` is called for each file that cannot be read."""
        steps = {}
        for path in self._files():
            if not NAME.fullmatch(path.name):
                continue
            try:
                steps[path] = read_header(path).step
            except WeightsError as error:
                log(f"passed over: {error}")
        return sorted(steps, key=lambda path: steps[path], reverse=True)

    def to_resume(self, resume: str, log: Callable[[str], None]) -> Checkpoint | None:
        """The checkpoint from which the run goes on; None for a new run. Raises TrainingError, WeightsError.

        In the folder, a damaged checkpoint is reported to `log` and the one before it is used. A folder that holds another
        run's weights is refused, because this run would overwrite them.
        """
        self._seen = self._state()
        if resume not in (NEWEST, NEW_RUN):
            checkpoint = self._read(Path(resume))
            if checkpoint.path.resolve().parent != self.folder.resolve():
                self._refuse_another_run(f"resuming {resume} from elsewhere")
            else:
                self._restore_best(checkpoint.step, log)
            return checkpoint
        damaged: list[str] = []
        for path in self.resumable(damaged.append) if resume == NEWEST else []:
            try:
                checkpoint = self._read(path)
            except WeightsError as error:
                damaged.append(f"passed over: {error}")
                continue
            for sentence in damaged:
                log(sentence)
            self._restore_best(checkpoint.step, log)
            return checkpoint
        self._refuse_another_run("; ".join([*damaged, "a new run"]))
        return None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"segformer_mit_*{SUFFIX}"))

    def _state(self) -> dict[Path, tuple[int, int]]:
        """Each weight file with its time and number, by which a new file differs from the one that it replaces."""
        state = {}
        for path in self._files():
            with suppress(OSError):  # another run has just deleted it
                found = path.stat()
                state[path] = found.st_mtime_ns, found.st_ino
        return state

    def _refuse_another_run(self, what: str) -> None:
        """Raise TrainingError if the folder holds weights; `what` names the run that would overwrite them."""
        files = self._files()
        if files:
            raise TrainingError(
                f"{self.folder} holds {files[0].name}{' and others' if len(files) > 1 else ''} of an earlier run ({what} would "
                "write over them); choose another checkpoint_path, or move them away"
            )

    def _restore_best(self, step: int, log: Callable[[str], None]) -> None:
        """Read the best mIoU so far; one that was measured after `step`, from which the run goes on, does not count.

        A damaged file of the best weights stops no run: what was the best is then known from the metrics.
        """
        path = self.path(BEST)
        if not path.is_file():
            return
        try:
            best_step, miou = read_best(path)
        except WeightsError as error:
            earlier = read_metrics(self.folder / METRICS).entries
            known = [entry["miou"] for entry in earlier if entry["step"] <= step and entry.get("miou") is not None]
            self.best_miou = max(known, default=-math.inf)
            what = f"weights with a better mIoU than {self.best_miou:.4f} ({METRICS})" if known else "the next weights evaluated"
            log(f"WARNING: {error}; {what} will replace it")
            return
        if best_step <= step:
            self.best_miou = miou

    def _read(self, path: Path) -> Checkpoint:
        """Raises WeightsError if the file is missing or damaged, TrainingError if it does not fit this run."""
        with opened_checkpoint(path, self.spec) as (header, load):
            self._check(header, path)
            return load()

    def _check(self, header: Header, path: Path) -> None:
        """Raise a TrainingError that lists every decisive value that differs from the saved one."""
        there = {**decisive_values(Config()), **header.decisive}  # the default of a newer key is how things were before it
        idle = {"epoch_size"} if self.decisive["max_steps"] and there["max_steps"] else set()
        known = {name: value for name, value in self.decisive.items() if name in there and name not in idle}
        different = [name for name, value in known.items() if there[name] != value]
        if not different:
            return
        listed = [f"{name} is {brief(there[name])} there and {brief(self.decisive[name])} here" for name in different]
        new_run = "choose another checkpoint_path for a new run"
        if not OF_THE_WEIGHTS & set(different):
            new_run = f"start a new run from its weights with: {new_run_command(path, self.folder, self.part)}"
        raise TrainingError(f"{path} is of another run: {', '.join(listed)}; use the same values to go on with it, or {new_run}")


def decisive_values(config: Config) -> dict[str, Any]:
    """The values on which a training run's result depends, in the types that JSON returns."""
    values = {name: value for name, value in flat(config).items() if KEYS[name].metadata["decides"]}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
