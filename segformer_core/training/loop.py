"""The training loop of both backends: schedule, masks, log lines, evaluation and checkpoints around `Learner.step`."""

import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from segformer_core.config import Config
from segformer_core.data.pipeline import TrainingStream
from segformer_core.errors import TrainingError
from segformer_core.learner import ALONE, Batch, Learner, Processes, Step
from segformer_core.spec.model import SegFormer
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.training.curves import draw_curves
from segformer_core.training.interrupt import Stopped, Wish
from segformer_core.training.log import Log
from segformer_core.training.loss_scale import SKIPPED_FOR_GOOD, SKIPPED_IN_DOUBT
from segformer_core.training.masks import draw_keep_masks
from segformer_core.training.schedule import group_rates, learning_rate, parameter_groups

Evaluate = Callable[[str], float]
"""Evaluates the learner as it is; takes the name to print with the result, returns the mIoU."""


@dataclass
class Run:
    """A training run: what it works on, and `step`, how many steps are done."""

    learner: Learner
    spec: SegFormer
    stream: TrainingStream
    config: Config
    checkpoints: Checkpoints
    evaluate: Evaluate | None
    log: Log
    processes: Processes = ALONE
    step: int = 0

    @property
    def epoch(self) -> int:
        """The epoch of the last step done, from 1."""
        return (self.step - 1) // self.stream.steps_per_epoch + 1

    @property
    def step_of_epoch(self) -> int:
        """The place of the last step done in its epoch, from 1."""
        return (self.step - 1) % self.stream.steps_per_epoch + 1


def train(run: Run, batches: Iterable[Batch], wish: Wish) -> None:
    """Take every step that is left; after an epoch save and evaluate as the configuration says.

    Raises Stopped when `wish` asks for it, after saving; TrainingError when steps come to nothing.
    """
    stream, training, optimizer = run.stream, run.config.training, run.config.optimizer
    groups = parameter_groups(run.spec, optimizer)
    run.log.progress(stream.steps, run.step, "train")
    since, counted = time.perf_counter(), run.step
    for batch in batches:
        rate = learning_rate(run.step, stream.steps, optimizer)
        frozen = run.step < optimizer.freeze_encoder_epochs * stream.steps_per_epoch
        masks = draw_keep_masks(run.spec, training.seed, run.step, stream.share)
        done = run.learner.step(batch, masks, group_rates(groups, rate, frozen))
        run.step += 1
        run.log.advance()
        at_end = run.step_of_epoch == stream.steps_per_epoch
        looks = at_end or run.step_of_epoch % training.train_log_interval == 0
        if looks:
            loss = float(done.loss)  # waits for the device
            _report(run, done, loss, rate, (time.perf_counter() - since) / (run.step - counted))
            _check_progress(run, done)
        if at_end:
            _save_epoch(run, done)
            evaluate_epoch(run)
        asked = _asked_to_stop(run, wish, looks)
        if asked and run.step < stream.steps:
            if run.processes.first and not (at_end and _saves(run)):
                run.checkpoints.save(run.learner, f"step{run.step}", run.step)
            name = signal.Signals(asked).name
            run.log(f"{name}: stopped after step {run.step} of {stream.steps}; the same command goes on from there")
            raise Stopped(asked)
        if looks:
            since, counted = time.perf_counter(), run.step


def evaluate_epoch(run: Run) -> None:
    """Evaluate after the epoch that has ended, if it is one to evaluate, and keep the weights if they are the best."""
    evaluation, last = run.config.evaluation, run.step == run.stream.steps
    if not run.evaluate or run.epoch < evaluation.eval_start_epoch or not (last or run.epoch % evaluation.eval_interval == 0):
        return
    miou = run.evaluate(run.checkpoints.path(run.epoch).name if _saves(run) else f"epoch {run.epoch}")
    if not run.processes.first:
        return
    best = run.checkpoints.save_if_best(run.learner, run.step, miou) if run.config.training.save_best_ckpt else None
    if best:
        run.log(f"best so far, saved as {best}")
    run.log.metrics(run.step, epoch=run.epoch, miou=miou)
    draw_curves(run.checkpoints.folder)


def _report(run: Run, done: Step, loss: float, rate: float, seconds: float) -> None:
    """The seed's line, with the samples a second and the time that is left at this pace."""
    steps_left = run.stream.steps - run.step
    run.log(
        f"Epoch {run.epoch}/{run.stream.epochs}, step:{run.step_of_epoch}/{run.stream.steps_per_epoch}, loss:{loss:.8g}, "
        f"overflow:{bool(done.overflowed)}, loss_scale:{float(done.loss_scale)}, step cost:{seconds * 1000:.0f}ms, "
        f"{run.stream.batch_size / seconds:.2f} samples/s, ETA {timedelta(seconds=round(seconds * steps_left))}"
    )
    run.log.metrics(run.step, epoch=run.epoch, loss=loss, learning_rate=rate, step_seconds=seconds)


def _check_progress(run: Run, done: Step) -> None:
    skipped = round(float(done.skipped))
    if skipped < SKIPPED_FOR_GOOD:
        return
    first = run.step - skipped
    names = run.stream.names(first)
    images = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    raise TrainingError(
        f"the loss or its gradient has not been finite for {skipped} steps, since step {first + 1} (epoch "
        f"{first // run.stream.steps_per_epoch + 1}, images {images}); the weights are "
        "those before it: lower lr, set clip_norm, or use precision fp32, and resume from a checkpoint"
    )


def _saves(run: Run) -> bool:
    """Whether the epoch that has ended is one to save."""
    training, last = run.config.training, run.step == run.stream.steps
    return training.save_checkpoint and (last or run.epoch % training.save_checkpoint_epoch_interval == 0)


def _save_epoch(run: Run, done: Step) -> None:
    skipped = round(float(done.skipped))
    if skipped >= SKIPPED_IN_DOUBT:
        run.log(f"epoch {run.epoch} is not saved: its last {skipped} steps were not finite, the weights are in doubt")
    elif run.processes.first and _saves(run):
        run.checkpoints.save(run.learner, run.epoch, run.step)


def _asked_to_stop(run: Run, wish: Wish, looks: bool) -> int:
    """The signal that asks for it, or 0. Several processes agree on it when they look at the device anyway."""
    if run.processes.count == 1:
        return wish.signal_number
    if not looks or not run.processes.all_reduce(np.array([wish.signal_number])).any():
        return 0
    return wish.signal_number or signal.SIGTERM
