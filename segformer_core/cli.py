"""The commands, written once for both backends: `python -m backend_torch.train` and its siblings end up here."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np

from segformer_core.config import Config, RuntimeConfig, TrainingConfig, help_text, load_config
from segformer_core.data import open_dataset
from segformer_core.data.dataset import Classes, Dataset
from segformer_core.data.image_file import quiet_decoders
from segformer_core.data.pipeline import TrainingStream
from segformer_core.errors import ConfigError, DataError, TrainingError, UserError
from segformer_core.evaluation.evaluate import evaluate, forget, label
from segformer_core.evaluation.examples import worst_and_best
from segformer_core.evaluation.page import page
from segformer_core.evaluation.result import result
from segformer_core.evaluation.submission import Submission
from segformer_core.export.export import export
from segformer_core.export.exported import open_exported
from segformer_core.export.form import OF_SUFFIX, choose_size
from segformer_core.export.verification import Unproven
from segformer_core.files import writable_directory, write_text
from segformer_core.inference import Incomplete, infer
from segformer_core.learner import Backend, Processes
from segformer_core.segmenter import Segmenter
from segformer_core.sources import find_sources
from segformer_core.spec.arrays import init_arrays, parameter_count
from segformer_core.spec.model import SegFormer, segformer
from segformer_core.training.checkpoint import Checkpoint, Checkpoints
from segformer_core.training.class_weights import class_weights
from segformer_core.training.interrupt import Stopped, stop_wish
from segformer_core.training.log import Log
from segformer_core.training.loop import Run, evaluate_epoch, train
from segformer_core.weights.loading import load_pretrained, load_weights
from segformer_core.weights.store import sha256

RESULT, PAGE = "result.json", "report.html"

Connect = Callable[[RuntimeConfig], Backend]

DONE, INCOMPLETE, USERS_MISTAKE, SIGNALLED = 0, 1, 2, 128
"""Exit codes: INCOMPLETE where infer could not read some files and did the rest; the last plus the signal's number."""


def main(command: str, connect: Connect, arguments: Sequence[str]) -> int:
    """Run one of COMMANDS with a backend; returns the exit code (a bug of ours leaves as a traceback: 1)."""
    if "--help" in arguments or "-h" in arguments:
        print(help_text(f"{connect.__module__.partition('.')[0]}.{command}"))
        return DONE
    try:
        COMMANDS[command](load_config(arguments), connect)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return INCOMPLETE if isinstance(error, Incomplete | Unproven) else USERS_MISTAKE
    except Stopped as stopped:
        return SIGNALLED + stopped.signal_number
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return SIGNALLED + signal.SIGINT
    return DONE


def train_command(config: Config, connect: Connect) -> None:
    """Train as the configuration says: from a checkpoint, from pretrained weights or from the seed."""
    spec, training = network(config), config.training
    dataset = open_dataset(config.data.data_path, "train", config.data.dataset_file)
    check_classes(dataset.classes, spec)
    validation = None
    if config.evaluation.run_eval:
        validation = open_dataset(config.data.data_path, "val", config.data.dataset_file)
    stream = TrainingStream(dataset, config.data, training.seed, training.batch_size, training.epoch_size)
    checkpoints = Checkpoints(training.checkpoint_path, spec, config, {"images in the training set": len(dataset)})
    said: list[str] = []
    checkpoint = checkpoints.to_resume(training.resume, said.append)
    arrays, source = starting_weights(spec, config) if checkpoint is None else (checkpoint.weights, resumed(checkpoint, stream))
    weights = class_weights(config.loss.class_weights, dataset, config.data.dataset_num_parallel_workers)

    backend = connect(config.runtime)
    processes = backend.processes
    check_split(training, processes)
    stream = replace(stream, rank=processes.rank, processes=processes.count)
    log = Log(quiet=not processes.first)
    learner = backend.learner(spec, config, weights, log)
    learner.load_arrays(arrays)
    step = 0
    if checkpoint is not None:
        step = checkpoint.step
        learner.load_optimizer_arrays(checkpoint.optimizer)
    check_same_step(step, processes, training)
    known = log.record(checkpoints.folder, step, training.tensorboard)
    for line in (describe(spec, backend), *said, source, describe_stream(stream, config, processes)):
        log(line)
    log(f"{len(dataset)} images, {stream.epochs} epochs of {stream.steps_per_epoch} steps, results in {checkpoints.folder}")

    evaluate_now = None
    if validation is not None:
        segmenter = Segmenter(learner, spec, config.data, config.evaluation)
        evaluate_now = partial(_miou, segmenter, validation, log, processes)
    run = Run(learner, spec, stream, config, checkpoints, evaluate_now, log, processes, step)
    cores = os.cpu_count() or 1  # MindSpore refuses more workers than there are
    workers = min(config.data.dataset_num_parallel_workers, cores, len(stream))
    try:
        with stop_wish() as wish:
            at_end = step > 0 and run.step_of_epoch == stream.steps_per_epoch
            if at_end and not any(entry["step"] == step and "miou" in entry for entry in known):
                evaluate_epoch(run)  # which a killed run still owes
            if step < stream.steps:  # MindSpore's sampler cannot start at the end
                train(run, backend.batches(stream, workers, step), wish)
    finally:
        log.close()
        processes.leave()


def starting_weights(spec: SegFormer, config: Config) -> tuple[Mapping[str, np.ndarray], str]:
    """The arrays of a new run, and a sentence on where they are from."""
    training = config.training
    arrays = init_arrays(spec, training.seed)
    if not training.load_ckpt:
        return arrays, f"weights start from seed {training.seed}"
    if not training.pretrained_ckpt_path:
        raise ConfigError("load_ckpt is True but pretrained_ckpt_path is empty; name a weight file or set load_ckpt False")
    return load_pretrained(training.pretrained_ckpt_path, spec, arrays)


def resumed(checkpoint: Checkpoint, stream: TrainingStream) -> str:
    if checkpoint.step == stream.steps:
        return f"{checkpoint.path} is the end of this run: nothing is left to train; give a new run a checkpoint_path of its own"
    return f"going on from {checkpoint.path} after step {checkpoint.step} of {stream.steps}"


def check_split(training: TrainingConfig, processes: Processes) -> None:
    """Raises ConfigError unless a batch can be shared out evenly."""
    parts = processes.count * training.accumulation_steps
    if training.batch_size % parts:
        raise ConfigError(
            f"batch_size is {training.batch_size}, to be shared by {processes.count} devices in {training.accumulation_steps} "
            f"accumulated batches; expected a multiple of {parts}"
        )


def check_same_step(step: int, processes: Processes, training: TrainingConfig) -> None:
    """Raises TrainingError if the processes do not see the same checkpoints."""
    if int(processes.all_reduce(np.array([step]))[0]) != step * processes.count:
        raise TrainingError(
            f"the processes would start from different steps, this one from {step}: checkpoint_path {training.checkpoint_path} "
            "is not the same folder on every host; put it on a file system that all share"
        )


def describe_stream(stream: TrainingStream, config: Config, processes: Processes) -> str:
    parts, share = config.training.accumulation_steps, len(stream.share)
    sentence = f"{stream.batch_size} images a step"
    if processes.count > 1:
        sentence += f", {share} on each of {processes.count} devices"
    return sentence + (f", in {parts} accumulated batches of {share // parts}" if parts > 1 else "")


def _miou(segmenter: Segmenter, dataset: Dataset, log: Log, processes: Processes, name: str) -> float:
    return evaluate(segmenter, dataset, log, name, processes).scores.miou


def evaluate_command(config: Config, connect: Connect) -> None:
    """Score a weight file on the images of eval_split: table, result.json and, where asked for, a page and a submission."""
    start = time.perf_counter()
    spec, evaluation = network(config), config.evaluation
    unlabelled = evaluation.eval_split == "test" and bool(evaluation.save_submission)  # the server keeps those labels
    dataset = open_dataset(config.data.data_path, evaluation.eval_split, config.data.dataset_file, with_labels=not unlabelled)
    check_classes(dataset.classes, spec)
    path = required(evaluation.eval_ckpt_path, "eval_ckpt_path")
    output = writable_directory(Path(evaluation.eval_output_path))
    page_folder = writable_directory(Path(evaluation.report)) if evaluation.report else None
    submission = Submission(Path(evaluation.save_submission), dataset) if evaluation.save_submission else None
    segmenter, backend, log, weights = loaded(path, spec, config, connect)
    keep = submission.write if submission else forget
    if unlabelled:
        label(segmenter, dataset, log, backend.processes, keep)
    else:
        evaluated = evaluate(segmenter, dataset, log, Path(path).name, backend.processes, keep)
        if backend.processes.first:
            content = result(evaluated, dataset, config, weights, backend, datetime.now(timezone.utc))
            log(f"result: {write_text(output / RESULT, json.dumps(content, indent=1))}")
            if page_folder:
                examples = worst_and_best(segmenter, dataset, evaluated)
                log(f"report: {write_text(page_folder / PAGE, page(content, dataset.classes, *examples))}")
    if submission and backend.processes.first:
        log(f"submission: {submission.finish()}")
    backend.processes.leave()
    log(f"all eval process done, cost:{time.perf_counter() - start:.0f}s")


def infer_command(config: Config, connect: Connect) -> None:
    """Paint masks for every image and video that data_path names. Raises Incomplete if some could not be read."""
    quiet_decoders()
    spec, output = network(config), Path(config.inference.infer_output_path)
    sources, classes = find_sources(config.data.data_path, config.data.dataset_file, output)
    check_classes(classes, spec)
    writable_directory(output)
    path = required(config.inference.infer_ckpt_path, "infer_ckpt_path")
    segmenter, _, log, _ = loaded(path, spec, config, connect)
    infer(segmenter, sources, classes, config.inference, log)


def export_command(config: Config, connect: Connect) -> None:
    """Write the network for another runtime. Raises Unproven if what was written does not compute the same."""
    path = required(config.export.export_ckpt_path, "export_ckpt_path")
    spec, _ = network(config), choose_size(config)
    arrays, source = load_weights(path, spec)
    backend = connect(replace(config.runtime, precision="fp32"))  # that of what the file is compared with
    log = Log(quiet=not backend.processes.first)
    log(source)
    export(config, spec, arrays, described_weights(path, arrays, spec, source), backend, log)


COMMANDS = {"train": train_command, "evaluate": evaluate_command, "infer": infer_command, "export": export_command}


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


def loaded(path: str, spec: SegFormer, config: Config, connect: Connect) -> tuple[Segmenter, Backend, Log, dict[str, str]]:
    """A network with the weights of `path`, or an exported file, announced; and what a result says of the weights."""
    if Path(path).suffix in OF_SUFFIX:
        segmenter, backend, weights = open_exported(Path(path), spec, config, connect)
        log = Log(quiet=not backend.processes.first)
    else:
        arrays, source = load_weights(path, spec)
        backend = connect(config.runtime)
        log = Log(quiet=not backend.processes.first)
        learner = backend.learner(spec, config, None, log)
        learner.load_arrays(arrays)
        log(describe(spec, backend))
        segmenter = Segmenter(learner, spec, config.data, config.evaluation)
        weights = described_weights(path, arrays, spec, source)
    log(weights["source"])
    return segmenter, backend, log, weights


def described_weights(path: str, arrays: Mapping[str, np.ndarray], spec: SegFormer, source: str) -> dict[str, str]:
    return {"path": path, "sha256": sha256(arrays), "network": f"mit_{spec.variant}", "source": source}


def describe(spec: SegFormer, backend: Backend) -> str:
    return (
        f"SegFormer mit_{spec.variant}, {spec.class_count} classes, {parameter_count(spec):,} parameters, "
        f"{backend.name} on {backend.device}, products in {backend.precision.training} in training and "
        f"{backend.precision.inference} in evaluation"
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
