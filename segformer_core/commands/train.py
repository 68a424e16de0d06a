"""The command `train`: start a run, or go on with one."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from segformer_core.commands.opening import describe, network, opened_dataset
from segformer_core.config.keys import Config, TrainingConfig
from segformer_core.config.together import check_devices
from segformer_core.data.classes import Classes
from segformer_core.data.dataset import Dataset, digest_of
from segformer_core.data.draft import scalar
from segformer_core.data.pipeline import TrainingStream
from segformer_core.errors import ConfigError, DataError, TrainingError, UserError
from segformer_core.evaluation.evaluate import Evaluation, evaluate
from segformer_core.inference.remembered import counted
from segformer_core.inference.segmenter import Segmenter
from segformer_core.interrupt import StopRequest, stop_request
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Connect, Learner, Processes, Training
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import SegFormer
from segformer_core.survey.data_check import check_data
from segformer_core.training.checkpoint import Checkpoint, Checkpoints
from segformer_core.training.class_weights import class_weights
from segformer_core.training.log import Log
from segformer_core.training.loop import Evaluate, Run, train
from segformer_core.training.metrics import IOU, VALIDATION_LOSS
from segformer_core.training.new_run import new_run_command
from segformer_core.training.schedule import check_warmup, warmup_warning
from segformer_core.weights.loading import load_pretrained
from segformer_core.weights.usual_names import usual_file

SAVED_COPIES = 3
"""A checkpoint holds every number with AdamW's two moments, on any device in this machine's memory."""

TRAINING_SET = "training set (digest of the names of classes and images and of what label values mean)"


def train_command(config: Config, connect: Connect) -> None:
    """Train as the configuration says: from a checkpoint, from pretrained weights or from the seed. Raises UserError."""
    dataset = opened_dataset(config, "train", "put the images to train on there")
    without = "put images to evaluate on there, or train without evaluating: --run_eval False"
    validation = opened_dataset(config, "val", without, sibling=dataset) if config.evaluation.run_eval else None
    config = counted(config, len(dataset.classes), dataset.classes.source)
    spec = network(config, copies=SAVED_COPIES)
    check_several_classes(dataset.classes)
    stream = training_stream(dataset, config)
    checkpoints = Checkpoints(config.training.checkpoint_path, spec, config, about_data(dataset), dataset.classes)
    start = find_start(spec, config, stream, checkpoints)
    if not start.step:  # one that was begun goes on as it was begun
        check_warmup(stream.steps, config.optimizer)
        if warning := warmup_warning(stream.steps, config.optimizer):
            start = replace(start, sentences=(*start.sentences, f"WARNING: {warning}"))
    weights = class_weights(config.loss.class_weights, dataset, config.data.dataset_num_parallel_workers)
    training = Training(parameter_groups(spec, config.optimizer), weights)

    backend = connect(config.runtime)
    processes = backend.processes
    check_split(config.training, processes)
    check_devices(config.loss, processes.count)
    stream = replace(stream, rank=processes.rank, processes=processes.count)
    log = Log(quiet=not processes.first)
    take_folder(checkpoints, processes, log)
    learner = backend.learner(spec, config, log, training)
    start.load(learner)
    check_same_step(start.step, processes, config.training)
    if config.training.check_data and not start.step:  # a resumed run has been through most of them
        splits = [dataset] if validation is None else [dataset, validation]
        check_data(splits, config.data.dataset_num_parallel_workers, processes, log)
    earlier = log.record(checkpoints.folder, start.step, config.training.tensorboard)
    notes = [dataset.labels, *(split.note for split in (dataset, validation) if split and split.note)]
    for line in (describe(spec, backend), *start.sentences, describe_stream(stream, config, processes), *notes):
        log(line)
    log(f"{len(dataset)} images, {describe_length(stream)}, results in {checkpoints.folder}")

    batches = partial(backend.batches, stream, stream.workers)
    try:
        with stop_request() as stop:
            log.lost = stop.output_lost
            evaluates = None if validation is None else evaluation_of(learner, spec, config, validation, log, processes, stop)
            run = Run(learner, spec, stream, training.groups, config, checkpoints, evaluates, log, processes, start.step, earlier)
            train(run, batches, stop)
            log(f"peak memory: {backend.peak_memory() / 1e9:.2f} GB")
    finally:
        log.close()
        checkpoints.release()


def about_data(dataset: Dataset) -> dict[str, int | str]:
    """What a resumed run must agree with besides the configuration, in words."""
    return {"images in the training set": len(dataset), TRAINING_SET: digest_of(dataset)}


def training_stream(dataset: Dataset, config: Config) -> TrainingStream:
    """The samples of the run that the configuration describes, for one process."""
    training = config.training
    return TrainingStream(
        dataset, config.data, training.seed, training.batch_size, epochs=training.epoch_size, max_steps=training.max_steps
    )


@dataclass(frozen=True)
class Start:
    """The start of a run: its arrays, sentences for the log, and the checkpoint that the run continues, if any."""

    arrays: Mapping[str, np.ndarray]
    sentences: tuple[str, ...]
    checkpoint: Checkpoint | None = None

    @property
    def step(self) -> int:
        return self.checkpoint.step if self.checkpoint else 0

    def load(self, learner: Learner) -> None:
        learner.load_arrays(self.arrays)
        if self.checkpoint:
            learner.load_optimizer_arrays(self.checkpoint.optimizer)


def find_start(spec: SegFormer, config: Config, stream: TrainingStream, checkpoints: Checkpoints) -> Start:
    """From the checkpoint that `resume` means, else from pretrained weights or from the seed. Raises UserError."""
    passed_over: list[str] = []
    checkpoint = checkpoints.to_resume(config.training.resume, passed_over.append)
    if checkpoint is None:
        arrays, sources = starting_weights(spec, config)
        return Start(arrays, (*passed_over, *sources))
    sentence = f"going on from {checkpoint.path} after step {checkpoint.step} of {stream.steps}"
    if checkpoint.step == stream.steps:
        sentence = (
            f"{checkpoint.path} is the end of this run: nothing is left to train; a new run from its weights starts with: "
            f"{new_run_command(checkpoint.path, checkpoints.folder, config.model.ckpt_part)}"
        )
    return Start(checkpoint.weights, (*passed_over, sentence), checkpoint)


def starting_weights(spec: SegFormer, config: Config) -> tuple[Mapping[str, np.ndarray], tuple[str, ...]]:
    """The arrays of a new run, and sentences on where they are from. Raises UserError."""
    training = config.training
    arrays = init_arrays(spec, training.seed)
    if not training.load_ckpt:
        return arrays, (f"weights start from seed {training.seed}",)
    named = training.pretrained_ckpt_path
    if not named:
        raise ConfigError("load_ckpt is True but pretrained_ckpt_path is empty; name a weight file or set load_ckpt False")
    path = usual_file(named) if "pretrained_ckpt_path" in config.from_files else named
    stands_in = () if path == named else (f"{path} is taken in place of {named}, which the configuration names and is not there",)
    arrays, source = load_pretrained(path, spec, arrays, config.data, config.model.ckpt_part, training.stem_init)
    return arrays, (*stands_in, source)


def check_several_classes(classes: Classes) -> None:
    """Raises DataError for a dataset whose network would have nothing to choose from."""
    if len(classes) == 1:
        name = scalar(classes.names[0])
        raise DataError(
            f"{classes.source} lists one class, {name}, and the loss of one class is always 0; list the background as a class "
            f"too: classes: [background, {name}], and if the masks hold 0 and 255, label_map: {{0: background, 255: {name}}}"
        )


def check_split(training: TrainingConfig, processes: Processes) -> None:
    """Raises ConfigError unless a batch can be shared out evenly."""
    size, parts = training.batch_size, processes.count * training.accumulation_steps
    if size % parts:
        one_devices = size * processes.count
        hint = (
            f"; if {size} images were meant for each device, as in the original repository, set --batch_size {one_devices} "
            f"({processes.count} devices × {size})"
        )
        raise ConfigError(
            f"batch_size is {size}, to be shared by {processes.count} devices in {training.accumulation_steps} "
            f"accumulated batches; expected a multiple of {parts}{'' if one_devices % parts else hint}"
        )


def take_folder(checkpoints: Checkpoints, processes: Processes, log: Callable[[str], None]) -> None:
    """Let the first process hold the folder that it writes in. Raises UserError, in every process, if it cannot."""
    refusal: UserError | None = None
    if processes.first:
        try:
            checkpoints.take(log)
        except UserError as error:
            refusal = error
    if processes.all_reduce(np.array([int(refusal is not None)])).any():
        raise refusal or TrainingError(f"the first process cannot hold {checkpoints.folder}; its own message says why")


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


def describe_length(stream: TrainingStream) -> str:
    if stream.max_steps:
        return f"{stream.steps} steps, {stream.steps_per_epoch} in an epoch"
    return f"{stream.epochs} epochs of {stream.steps_per_epoch} steps"


def figures_of(evaluation: Evaluation, class_names: Sequence[str]) -> dict[str, float]:
    """The figures of an evaluation, as metrics.jsonl names them; a class that cannot be scored has NaN."""
    iou = {f"{IOU}{name}": value for name, value in zip(class_names, evaluation.scores.iou.tolist(), strict=True)}
    loss = {} if math.isnan(evaluation.loss) else {VALIDATION_LOSS: evaluation.loss}
    return {"miou": evaluation.scores.miou, "mf1": evaluation.scores.mf1, **loss, **iou}


def evaluation_of(
    learner: Learner,
    spec: SegFormer,
    config: Config,
    dataset: Dataset,
    log: Callable[[str], None],
    processes: Processes,
    stop: StopRequest,
) -> Evaluate:
    """The function that the loop calls where an evaluation is due."""
    segmenter = Segmenter(learner, spec, config.data, config.evaluation, dataset.classes)
    measure = learner.labels_and_losses if config.evaluation.eval_loss else None

    def figures(name: str) -> dict[str, float]:
        found = evaluate(segmenter, dataset, log, name, processes, asked=lambda: stop.signal_number, measure=measure)
        if measure:
            log(f"validation loss: {found.loss:.8g}")
        return figures_of(found, dataset.classes.names)

    return figures
