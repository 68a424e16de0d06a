"""The training loop of both backends: schedule, masks, log lines, evaluation and checkpoints around `Learner.step`."""

import time
from collections.abc import Callable, Iterable

from segformer_core.config import Config
from segformer_core.data.pipeline import TrainingStream
from segformer_core.learner import Batch, Learner
from segformer_core.spec.model import SegFormer
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.training.log import Log
from segformer_core.training.masks import draw_keep_masks
from segformer_core.training.schedule import learning_rate, parameter_groups

Evaluate = Callable[[str], float]
"""Evaluates the learner as it is; takes the name to print with the result, returns the mIoU."""


def train(
    learner: Learner,
    spec: SegFormer,
    stream: TrainingStream,
    batches: Iterable[Batch],
    config: Config,
    checkpoints: Checkpoints,
    evaluate: Evaluate | None,
    log: Log,
) -> None:
    """Run every step of `stream`; after an epoch save and evaluate as the configuration says."""
    training, evaluation = config.training, config.evaluation
    factors = [group.learning_rate_factor for group in parameter_groups(spec, config.optimizer)]
    samples = range(stream.batch_size)
    steps = stream.epochs * stream.steps_per_epoch
    log.progress(steps, "train")
    since, logged = time.perf_counter(), 0
    for step, batch in enumerate(batches):
        epoch, step_of_epoch = step // stream.steps_per_epoch + 1, step % stream.steps_per_epoch + 1
        rate = learning_rate(step, steps, config.optimizer)
        masks = draw_keep_masks(spec, training.seed, step, samples)
        done = learner.step(batch, masks, [rate * factor for factor in factors])
        log.advance()
        if step_of_epoch % training.train_log_interval == 0 or step_of_epoch == stream.steps_per_epoch:
            loss = float(done.loss)  # waits for the device
            now = time.perf_counter()
            seconds = (now - since) / (step + 1 - logged)
            since, logged = now, step + 1
            log(
                f"Epoch {epoch}/{stream.epochs}, step:{step_of_epoch}/{stream.steps_per_epoch}, loss:{loss:.8g}, "
                f"overflow:{done.overflowed}, loss_scale:{done.loss_scale}, step cost:{seconds * 1000:.0f}ms"
            )
            log.metrics(step=step + 1, epoch=epoch, loss=loss, learning_rate=rate, step_seconds=seconds)
        if step_of_epoch < stream.steps_per_epoch:
            continue
        name = f"epoch {epoch}"
        last = epoch == stream.epochs
        if training.save_checkpoint and (last or epoch % training.save_checkpoint_epoch_interval == 0):
            name = checkpoints.save_epoch(learner, epoch).name
        if evaluate and epoch >= evaluation.eval_start_epoch and (last or epoch % evaluation.eval_interval == 0):
            miou = evaluate(name)
            log.metrics(step=step + 1, epoch=epoch, miou=miou)
            best = checkpoints.save_if_best(learner, epoch, miou) if training.save_best_ckpt else None
            if best:
                log(f"best so far, saved as {best}")
        since, logged = time.perf_counter(), step + 1
