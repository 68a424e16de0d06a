"""The commands, written once for both backends: `python -m backend_torch.train` and its siblings end up here."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from segformer_core.config import Config, RuntimeConfig, help_text, load_config
from segformer_core.data import open_dataset
from segformer_core.data.dataset import Classes, Dataset
from segformer_core.data.pipeline import TrainingStream
from segformer_core.errors import ConfigError, DataError, UserError
from segformer_core.evaluation.evaluate import evaluate
from segformer_core.files import writable_directory
from segformer_core.inference import find_images, infer
from segformer_core.learner import Backend, Learner
from segformer_core.spec.arrays import init_arrays, parameter_count
from segformer_core.spec.model import SegFormer, segformer
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.training.log import Log
from segformer_core.training.loop import train
from segformer_core.weights.loading import load_pretrained, load_weights

Connect = Callable[[RuntimeConfig], Backend]

DONE, USERS_MISTAKE = 0, 2


def main(command: str, connect: Connect, arguments: Sequence[str]) -> int:
    """Run `train`, `evaluate` or `infer` with a backend; returns the exit code (a bug of ours leaves as a traceback: 1)."""
    if "--help" in arguments or "-h" in arguments:
        print(help_text(f"{connect.__module__.partition('.')[0]}.{command}"))
        return DONE
    try:
        COMMANDS[command](load_config(arguments), connect)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USERS_MISTAKE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return DONE


def train_command(config: Config, connect: Connect) -> None:
    """Train as the configuration says, starting from the pretrained weights or from the seed."""
    spec = network(config)
    dataset = open_dataset(config.data.data_path, "train", config.data.dataset_file)
    check_classes(dataset.classes, spec)
    validation = None
    if config.evaluation.run_eval:
        validation = open_dataset(config.data.data_path, "val", config.data.dataset_file)
    training = config.training
    stream = TrainingStream(dataset, config.data, training.seed, training.batch_size, training.epoch_size)
    arrays, source = init_arrays(spec, training.seed), f"weights start from seed {training.seed}"
    if training.load_ckpt:
        if not training.pretrained_ckpt_path:
            raise ConfigError("load_ckpt is True but pretrained_ckpt_path is empty; name a weight file or set load_ckpt False")
        arrays, source = load_pretrained(training.pretrained_ckpt_path, spec, arrays)
    checkpoints = Checkpoints(training.checkpoint_path, spec)
    backend = connect(config.runtime)
    learner = backend.learner(spec, config)
    learner.load_arrays(arrays)
    log = Log(checkpoints.folder / "metrics.jsonl")
    log(describe(spec, backend))
    log(source)
    log(f"{len(dataset)} images, {stream.epochs} epochs of {stream.steps_per_epoch} steps, results in {checkpoints.folder}")

    evaluate_now = None
    if validation is not None:
        evaluate_now = partial(_miou, learner, validation, config, log)
    workers = min(config.data.dataset_num_parallel_workers, os.cpu_count() or 1)  # MindSpore refuses more than there are cores
    batches = backend.batches(stream, workers, 0)
    try:
        train(learner, spec, stream, batches, config, checkpoints, evaluate_now, log)
    finally:
        log.close()


def _miou(learner: Learner, dataset: Dataset, config: Config, log: Log, name: str) -> float:
    return evaluate(learner, dataset, config.data, config.evaluation, log, name).scores.miou


def evaluate_command(config: Config, connect: Connect) -> None:
    """Score a weight file on the validation images."""
    start = time.perf_counter()
    spec = network(config)
    dataset = open_dataset(config.data.data_path, "val", config.data.dataset_file)
    check_classes(dataset.classes, spec)
    path = required(config.evaluation.eval_ckpt_path, "eval_ckpt_path")
    learner, log = loaded(path, spec, config, connect)
    evaluate(learner, dataset, config.data, config.evaluation, log, Path(path).name)
    log(f"all eval process done, cost:{time.perf_counter() - start:.0f}s")


def infer_command(config: Config, connect: Connect) -> None:
    """Paint masks for every image of a dataset, a folder or one file."""
    spec = network(config)
    images, classes = find_images(config.data.data_path, config.data.dataset_file)
    check_classes(classes, spec)
    writable_directory(Path(config.inference.infer_output_path))
    path = required(config.inference.infer_ckpt_path, "infer_ckpt_path")
    learner, log = loaded(path, spec, config, connect)
    infer(learner, images, classes, config.data, config.inference, log)


COMMANDS = {"train": train_command, "evaluate": evaluate_command, "infer": infer_command}


def network(config: Config) -> SegFormer:
    """The spec that the configuration describes."""
    model = config.model
    return segformer(
        model.backbone,
        model.class_num,
        model.in_channels,
        model.decoder_width,
        model.numerics,
        model.drop_path_rate,
        model.head_dropout_rate,
    )


def loaded(path: str, spec: SegFormer, config: Config, connect: Connect) -> tuple[Learner, Log]:
    """A learner that holds the weights of `path`, announced."""
    arrays, source = load_weights(path, spec)
    backend = connect(config.runtime)
    learner = backend.learner(spec, config)
    learner.load_arrays(arrays)
    log = Log()
    log(describe(spec, backend))
    log(source)
    return learner, log


def describe(spec: SegFormer, backend: Backend) -> str:
    return (
        f"SegFormer mit_{spec.variant}, {spec.class_count} classes, {parameter_count(spec):,} parameters, "
        f"{backend.name} on {backend.device}"
    )


def check_classes(classes: Classes, spec: SegFormer) -> None:
    """Raises DataError unless the data has as many classes as the network."""
    if len(classes) != spec.class_count:
        raise DataError(
            f"the data has {len(classes)} classes ({', '.join(classes.names)}), class_num is {spec.class_count}; set class_num "
            f"to {len(classes)}, or name the data's classes with dataset_file"
        )


def required(path: str, key: str) -> str:
    if not path:
        raise ConfigError(f"{key} is empty; give the weight file to use, as --{key} FILE or in the configuration file")
    return path
