"""Steps that commands share: opening a backend, the network that the configuration describes, its weights and its data."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import numpy as np

from segformer_core.config.agreement import CHANNELS
from segformer_core.config.keys import Config
from segformer_core.data.dataset import Classes, Dataset, NoSuchSplit
from segformer_core.data.layout import open_dataset
from segformer_core.errors import ConfigError, DataError, brief
from segformer_core.export.exported import open_exported
from segformer_core.inference.segmenter import Segmenter
from segformer_core.memory import check_fits
from segformer_core.protocol.form import OF_SUFFIX
from segformer_core.protocol.learner import Backend, Connect
from segformer_core.spec.arrays import parameter_count
from segformer_core.spec.model import SegFormer, segformer
from segformer_core.training.log import Log
from segformer_core.weights.loading import load_weights
from segformer_core.weights.store import sha256

SHOWN = 5
"""Names of classes in a message."""
OTHER_SPLIT = "choose one of its splits with --eval_split"

FLOAT_BYTES = 4

BACKENDS = ("mindspore", "torch")
"""In the order to connect them within one process: PyTorch reads the oneDNN variables that MindSpore sets."""


def connector(name: str) -> Connect:
    """The function that opens the backend of this name; only the call of that function loads the framework."""
    connect: Connect = import_module(f"backend_{name}.device").connect
    return connect


def network(config: Config, copies: int = 1) -> SegFormer:
    """The spec that the configuration describes. Raises UserError, also if the memory cannot hold its numbers `copies` times."""
    model = config.model
    if model.in_channels != CHANNELS:
        raise ConfigError(
            f"in_channels is {model.in_channels}; expected {CHANNELS}: every image is read as RGB; set it to {CHANNELS}"
        )
    spec = segformer(
        model.backbone,
        model.class_num,
        model.in_channels,
        model.decoder_width,
        model.numerics,
        model.drop_path_rate,
        model.head_dropout_rate,
    )
    needed = copies * FLOAT_BYTES * parameter_count(spec)
    check_fits(
        needed, f"mit_{spec.variant} with decoder_width {spec.decoder_width}", "lower decoder_width or take a smaller backbone"
    )
    return spec


def opened_dataset(config: Config, split: str, spec: SegFormer, way_on: str, with_labels: bool = True) -> Dataset:
    """The images of one split. Raises DataError, also if their classes are not as many as the network's.

    `way_on` tells the user what to do if the dataset has no such split.
    """
    try:
        dataset = open_dataset(config.data.data_path, split, config.data.dataset_file, with_labels)
    except NoSuchSplit as error:
        raise DataError(f"{error}; {way_on}") from error
    check_classes(dataset.classes, spec)
    return dataset


def opened_segmenter(
    path: str, spec: SegFormer, config: Config, connect: Connect, classes: Classes
) -> tuple[Segmenter, Backend, Log, dict[str, str]]:
    """A network with the weights of `path`, or an exported file; the lines that announce it are logged.

    The last value is what a result says of the weights. Raises UserError.
    """
    if Path(path).suffix in OF_SUFFIX:
        if config.model.ckpt_part:
            raise ConfigError(
                f"ckpt_part is {brief(config.model.ckpt_part)}; the exported file {path} has no parts; leave it empty"
            )
        segmenter, backend, weights = open_exported(Path(path), spec, config, connect)
        log = Log(quiet=not backend.processes.first)
    else:
        arrays, source = load_weights(path, spec, config.data, config.model.ckpt_part, classes.names)
        backend = connect(config.runtime)
        log = Log(quiet=not backend.processes.first)
        learner = backend.learner(spec, config, log)
        learner.load_arrays(arrays)
        log(describe(spec, backend))
        segmenter = Segmenter(learner, spec, config.data, config.evaluation)
        weights = described_weights(path, arrays, spec, source)
    log(weights["source"])
    return segmenter, backend, log, weights


def described_weights(path: str, arrays: Mapping[str, np.ndarray], spec: SegFormer, source: str) -> dict[str, str]:
    return {"path": path, "sha256": sha256(arrays), "network": f"mit_{spec.variant}", "source": source}


def describe(spec: SegFormer, backend: Backend) -> str:
    device = f"{backend.device} (device {backend.device_id}, {backend.chosen})" if backend.chosen else backend.device
    return (
        f"SegFormer mit_{spec.variant}, {spec.class_count} classes, {parameter_count(spec):,} parameters, "
        f"{backend.name} on {device}, linear layers in {backend.precision.training} in training and "
        f"{backend.precision.inference} in evaluation"
    )


def check_classes(classes: Classes, spec: SegFormer) -> None:
    """Raises DataError unless the data has as many classes as the network."""
    if len(classes) != spec.class_count:
        count, names = len(classes), ", ".join(classes.names[:SHOWN]) + (", …" if len(classes) > SHOWN else "")
        cityscapes = f"no file names the data's classes, so they are Cityscapes' {count}"
        raise DataError(
            f"{f'{classes.source} names {count} classes' if classes.source else cityscapes} ({names}), and class_num is "
            f"{spec.class_count}; set --class_num {count} if these are the data's classes, else name a file that lists them, as "
            "--dataset_file FILE"
        )


def required(path: str, key: str) -> str:
    if not path:
        raise ConfigError(f"{key} is empty; give the weight file to use, as --{key} FILE or in the configuration file")
    return path
