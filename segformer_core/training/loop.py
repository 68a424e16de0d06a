"""The training loop of both backends: schedule, masks, log lines, evaluation and checkpoints around `Learner.step`."""

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

import numpy as np

from segformer_core.config.keys import Config
from segformer_core.data.pipeline import TrainingStream
from segformer_core.errors import TrainingError
from segformer_core.interrupt import CutShort, Stopped, StopRequest
from segformer_core.memory import memory_for
from segformer_core.pace import rounded
from segformer_core.protocol.groups import ParameterGroup
from segformer_core.protocol.learner import ALONE, Batch, Learner, Processes, Step
from segformer_core.protocol.loss_scale import SKIPPED_FOR_GOOD, SKIPPED_IN_DOUBT
from segformer_core.protocol.masks import draw_keep_masks
from segformer_core.spec.model import SegFormer
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.training.checkpoint_file import STEP
from segformer_core.training.curves import draw_curves
from segformer_core.training.log import Log
from segformer_core.training.schedule import group_rates, learning_rate
from segformer_core.training.waiting import Waiting

Evaluate = Callable[[str], Mapping[str, float]]
"""Evaluates the learner as it is; takes the name to print with the result, returns its figures by their names in metrics.jsonl,
`miou` among them. Raises CutShort if it is stopped."""


@dataclass
class Run:
    """A training run: what it works on, and `step`, the number of steps it has taken.

    `groups` are those of the learner; `earlier` holds the metrics that an interrupted run has written up to this step.
    """

    learner: Learner
    spec: SegFormer
    stream: TrainingStream
    groups: Sequence[ParameterGroup]
    config: Config
    checkpoints: Checkpoints
    evaluate: Evaluate | None
    log: Log
    processes: Processes = ALONE
    step: int = 0
    earlier: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        self.saved_step = self.step
        """The step whose state the folder holds."""
        self.mious = [entry["miou"] for entry in self.earlier if "miou" in entry]
        """Of all evaluations so far; None or NaN where nothing could be scored."""

    @property
    def epoch(self) -> int:
        """The epoch of the latest step, from 1."""
        return (self.step - 1) // self.stream.steps_per_epoch + 1

    @property
    def step_of_epoch(self) -> int:
        """The place of the latest step in its epoch, from 1."""
        return (self.step - 1) % self.stream.steps_per_epoch + 1

    @property
    def at_epoch_end(self) -> bool:
        return self.step > 0 and self.step_of_epoch == self.stream.steps_per_epoch

    @property
    def at_end(self) -> bool:
        return self.step == self.stream.steps

    @property
    def ends_early(self) -> bool:
        """Whether the last `early_stop` evaluations were no better than the best one before them."""
        patience = self.config.evaluation.early_stop
        known = [-math.inf if miou is None or math.isnan(miou) else miou for miou in self.mious]
        return 0 < patience < len(known) and max(known[-patience:]) <= max(known[:-patience])

    @property
    def save_is_due(self) -> bool:
        """Whether the latest step is one to save."""
        training = self.config.training
        return training.save_checkpoint and self._due(training.save_interval_steps, training.save_checkpoint_epoch_interval)

    @property
    def evaluation_is_due(self) -> bool:
        """Whether the latest step is one to evaluate."""
        evaluation = self.config.evaluation
        begun = self.at_end or self.epoch >= evaluation.eval_start_epoch
        return bool(self.evaluate) and begun and self._due(evaluation.eval_interval_steps, evaluation.eval_interval)

    @property
    def step_label(self) -> str:
        """The latest step as a checkpoint is named by it, whether it ends an epoch or not."""
        return f"{STEP}{self.step}"

    @property
    def label(self) -> int | str:
        """The latest step as its checkpoint is named: by the epoch that it ends, unless checkpoints are counted in steps."""
        by_epoch = self.at_epoch_end and not self.config.training.save_interval_steps
        return self.epoch if by_epoch else self.step_label

    @property
    def place(self) -> str:
        """The latest step in words: `epoch 3` or `step 12`, as its checkpoint is named."""
        return f"step {self.step}" if isinstance(self.label, str) else f"epoch {self.label}"

    def _due(self, steps: int, epochs: int) -> bool:
        """Whether the latest step is the last, or one in `steps`; if `steps` is 0, the end of one epoch in `epochs`."""
        if self.at_end or not self.step:
            return self.at_end
        return self.step % steps == 0 if steps else self.at_epoch_end and self.epoch % epochs == 0


def train(run: Run, batches: Callable[[int], Iterable[Batch]], stop: StopRequest) -> None:
    """Take every step that is left; save and evaluate when the configuration says.

    `batches` gives the batches from a step on. An evaluation that an interrupted run has missed comes first. Raises Stopped when
    `stop` asks for it, or what `stop` has lost, after saving; TrainingError after too many skipped steps in a row.
    """
    if run.evaluation_is_due and not any(entry["step"] == run.step and "miou" in entry for entry in run.earlier):
        evaluate_now(run, stop)
    if run.ends_early:
        run.log(_ended_early(run))
    elif not run.at_end:  # MindSpore's sampler cannot start at the end
        with memory_for("a training step", "lower batch_size or crop_size, or raise accumulation_steps"):
            _take_steps(run, batches(run.step), stop)
    if stop.lost:
        raise stop.lost


def _take_steps(run: Run, batches: Iterable[Batch], stop: StopRequest) -> None:
    stream, training, optimizer = run.stream, run.config.training, run.config.optimizer
    run.log.progress(stream.steps, run.step, "train")
    since, counted = time.perf_counter(), run.step
    waiting = Waiting(run.log, stream.workers)
    for batch in _until_asked(waiting.watch(batches), stop):
        rate = learning_rate(run.step, stream.steps, optimizer)
        frozen = run.step < optimizer.freeze_encoder_epochs * stream.steps_per_epoch
        masks = draw_keep_masks(run.spec, training.seed, run.step, stream.share)
        report = run.learner.step(batch, masks, group_rates(run.groups, rate, frozen))
        run.step += 1
        run.log.advance()
        logs = run.at_epoch_end or run.at_end or run.step_of_epoch % training.train_log_interval == 0
        synchronises = logs or run.save_is_due or run.evaluation_is_due
        if synchronises:
            asked = time.perf_counter()
            loss = float(report.loss)  # waits for the device
            now = time.perf_counter()
            _log_step(run, report, loss, rate, (now - since) / (run.step - counted))
            waiting.tell(now - asked)
            _check_progress(run, report)
        if run.save_is_due:
            _save(run, report)
        if run.evaluation_is_due:
            evaluate_now(run, stop)
            if run.ends_early and not run.at_end:
                if training.save_checkpoint and run.saved_step != run.step:
                    _save(run, report)
                run.log(_ended_early(run))
                return
        _stop_if_asked(run, stop, synchronises)
        if synchronises:
            since, counted = time.perf_counter(), run.step
            waiting.start_anew()
    if not run.at_end:
        _stop(run, stop, f"stopped after step {run.step} of {run.stream.steps}")


def _ended_early(run: Run) -> str:
    return (
        f"early_stop: none of the last {run.config.evaluation.early_stop} evaluations was better than those before, so the run "
        f"ends after step {run.step} of {run.stream.steps}; the same command with --early_stop 0 goes on"
    )


def _until_asked(batches: Iterable[Batch], stop: StopRequest) -> Iterator[Batch]:
    """The batches; no more of them if the processes that read them were asked to stop together with this one."""
    try:
        yield from batches
    except RuntimeError:
        if not stop.signal_number:
            raise


def evaluate_now(run: Run, stop: StopRequest) -> None:
    """Evaluate after the latest step, which is one to evaluate, and keep the weights if they are the best.

    Raises Stopped, after saving, if `stop` asks for it meanwhile: the next run makes the evaluation up.
    """
    assert run.evaluate
    try:
        with run.learner.averaged():
            figures = run.evaluate(run.checkpoints.path(run.label).name if run.save_is_due else run.place)
            keeps_best = run.processes.first and run.config.training.save_best_ckpt
            best = run.checkpoints.save_if_best(run.learner, run.step, figures["miou"]) if keeps_best else None
    except CutShort:
        _stop(run, stop, f"stopped in the evaluation after step {run.step} of {run.stream.steps}")
    run.mious.append(figures["miou"])
    if best:
        run.log(f"best so far, saved as {best}")
    if run.processes.first:
        run.log.metrics(run.step, epoch=run.epoch, **figures)
        if (undrawn := draw_curves(run.checkpoints.folder)) and len(run.mious) == 1:
            run.log(undrawn)


def _log_step(run: Run, report: Step, loss: float, rate: float, seconds: float) -> None:
    """The original repository's line, with the samples a second and the time that is left at this pace."""
    steps_left = run.stream.steps - run.step
    run.log(
        f"Epoch {run.epoch}/{run.stream.last_epoch}, step:{run.step_of_epoch}/{run.stream.steps_in(run.epoch)}, loss:{loss:.8g}, "
        f"overflow:{bool(report.overflowed)}, loss_scale:{float(report.loss_scale)}, step cost:{rounded(seconds * 1000)}ms, "
        f"{run.stream.batch_size / seconds:.2f} samples/s, ETA {timedelta(seconds=round(seconds * steps_left))}"
    )
    run.log.metrics(run.step, epoch=run.epoch, loss=loss, learning_rate=rate, step_seconds=seconds)


def _check_progress(run: Run, report: Step) -> None:
    """Raises TrainingError after too many skipped steps in a row."""
    skipped = round(float(report.skipped))
    if skipped < SKIPPED_FOR_GOOD:
        return
    first = run.step - skipped
    names = run.stream.names(first)
    images = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    raise TrainingError(
        f"the loss or its gradient has not been finite for {skipped} steps, since step {first + 1} (epoch "
        f"{first // run.stream.steps_per_epoch + 1}, images {images}); the weights are those before it: resume from a checkpoint "
        "with precision fp32, or start a new run, with a checkpoint as pretrained_ckpt_path, with a lower lr or with clip_norm"
    )


def _save(run: Run, report: Step) -> None:
    skipped = round(float(report.skipped))
    if skipped >= SKIPPED_IN_DOUBT:
        run.log(f"{run.place} is not saved: the last {skipped} steps were not finite, the weights are in doubt")
    elif run.processes.first:
        run.checkpoints.save(run.learner, run.label, run.step)
        run.saved_step = run.step


def _stop_if_asked(run: Run, stop: StopRequest, synchronises: bool) -> None:
    """Raises Stopped, after saving, if a signal is to be handled, unless the run is at its end."""
    if _to_be_stopped(run, stop, synchronises) and not run.at_end:
        _stop(run, stop, f"stopped after step {run.step} of {run.stream.steps}")


def _stop(run: Run, stop: StopRequest, sentence: str) -> NoReturn:
    if run.processes.first and run.saved_step != run.step:
        run.checkpoints.save(run.learner, run.step_label, run.step)
    if stop.lost:
        raise stop.lost
    stopped = Stopped(stop.signal_number or signal.SIGTERM)  # another process has got a signal
    run.log(f"{stopped}: {sentence}; the same command goes on from there")
    raise stopped


def _to_be_stopped(run: Run, stop: StopRequest, synchronises: bool) -> bool:
    """Several processes agree on it at the steps that synchronise anyway."""
    if run.processes.count == 1:
        return bool(stop.signal_number)
    return synchronises and bool(run.processes.all_reduce(np.array([stop.signal_number])).any())
