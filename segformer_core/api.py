"""What a user's program calls first: `load`, which the backends offer under their own names.

from backend_torch import load                      # or backend_mindspore
network = load("segformer_b0.safetensors")          # any recognised weights, or an exported file
result = network("street.jpg")
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segformer_core.config.agreement import check_agreement
from segformer_core.config.arguments import as_arguments, without_dashes
from segformer_core.config.files import find_config
from segformer_core.config.hints import hint
from segformer_core.config.keys import KEYS, Config
from segformer_core.config.load import config_of
from segformer_core.config.remembered import NORMALISATION, filled
from segformer_core.config.together import check_channels
from segformer_core.data.classes import Classes
from segformer_core.data.description import read_classes
from segformer_core.errors import ConfigError, WeightsError, brief
from segformer_core.export.exported import check_probabilities, check_runtime, open_exported, read_exported, smaller_than_asked
from segformer_core.files import usable
from segformer_core.inference.network import Network
from segformer_core.inference.remembered import settled
from segformer_core.protocol.form import OF_SUFFIX
from segformer_core.protocol.learner import Connect
from segformer_core.spec.model import segformer
from segformer_core.weights.loading import network_in, read_network
from segformer_core.weights.numerics import IMPORTED

Size = tuple[int, int] | list[int]
"""Height and width in pixels."""
Mode = Literal["whole", "slide", "native"]
Blend = Literal["mean", "feather"]
Numerics = Literal["nvlabs", "hf", "mmseg", "zoo", "keras"]
Device = Literal["auto", "CPU", "GPU", "CUDA", "Ascend"]
Arithmetic = Literal["auto", "fp32", "fp16", "bf16"]
Runtime = Literal["auto", "onnxruntime", "openvino"]
Execution = Literal["graph", "pynative"]
Compilation = Literal["auto", "True", "False"]
Workers = int | Literal["auto"]

ARGUMENTS = "the arguments of load"
USERS_LINE = 3
"""`stacklevel` of a warning in `load`: 1 is `load` itself, 2 the backend's `load`, 3 the program that calls it."""


def load(
    connect: Connect, weights: str | Path, config_path: str | Path, unknown: Mapping[str, object], **keys: object
) -> Network:
    """A backend's `load`: the network that a file holds, with the settings of a configuration file and of `keys`.

    A key that is None is not given. `unknown` are arguments that `load` does not have. The file says which constants it
    computes with, unless `numerics` is given, how images are shown to it, and its classes, where no key says otherwise. Issues
    a UserWarning for each fault that leaves the file usable, such as a NaN. Raises UserError.
    """
    with as_arguments():
        for name in unknown:
            raise ConfigError(f"unknown argument {brief(name)} of load; {_advice(name)}")
        given = {name: _plain(value) for name, value in keys.items() if value is not None}
        config = config_of(os.fspath(config_path) or None, given, ARGUMENTS)
        path = usable(weights, WeightsError)
        opened = _of_exported if Path(path).suffix in OF_SUFFIX else _of_weights
        network, faults = opened(connect, path, config)
        for fault in faults:
            warnings.warn(without_dashes(f"{path}: {fault}"), UserWarning, stacklevel=USERS_LINE)
        return network


def _of_weights(connect: Connect, path: str, config: Config) -> tuple[Network, list[str]]:
    """The network in a weight file, and what is wrong with it. Raises UserError."""
    check_runtime(path, config.runtime.runtime)
    content = read_network(path, config.model.ckpt_part)
    count = content.architecture.class_count or 0
    config, _ = filled(config, {"in_channels": content.architecture.in_channels})
    about = settled(config, content.stated, count, path, _classes_of(config, count, path))
    numerics = config.model.numerics if "numerics" in config.given else ""
    spec, arrays, faults = network_in(content, path, about.config.data, numerics)
    check_agreement(f"{path} has", {"in_channels": (spec.in_channels, config.model.in_channels)})
    check_channels(about.config)
    backend, settings = connect(config.runtime), about.config
    if backend.compiles_later and "compile" not in config.given:  # a program that answers must not wait for a compiler one day
        settings = replace(settings, runtime=replace(settings.runtime, compile="False"))
    learner = backend.learner(spec, settings, lambda _: None)
    learner.load_arrays(arrays)
    normalised = content.stated.preparation or config.given.intersection(NORMALISATION)
    notes = [] if normalised else [note for name, note in IMPORTED.items() if name == content.dialect.name]
    data, evaluation, threshold = about.config.data, about.config.evaluation, config.inference.infer_threshold
    return Network(learner, spec, data, evaluation, about.classes, threshold), [*faults, *notes]


def _of_exported(connect: Connect, path: str, config: Config) -> tuple[Network, list[str]]:
    """The network in an exported file, and what is wrong with it. Raises UserError."""
    if config.model.ckpt_part:
        raise ConfigError(f"ckpt_part is {brief(config.model.ckpt_part)}; the exported file {path} has no parts; leave it out")
    exported = read_exported(Path(path))
    threshold = config.inference.infer_threshold
    if threshold:
        check_probabilities(exported)
    count = exported.form.class_count
    keys = {name: value for name, value in exported.network_keys.items() if name != "numerics" or name not in config.given}
    model = replace(config.model, class_num=count, **keys)
    spec = segformer(model.backbone, count, model.in_channels, model.decoder_width, model.numerics)
    about = settled(replace(config, model=model), exported.stated, count, path, _classes_of(config, count, path))
    opened, _, _ = open_exported(exported, spec, about.config, about.classes, connect)
    network = Network(opened.predictor, spec, opened.data, opened.evaluation, opened.classes, threshold, opened.takes)
    fitted = smaller_than_asked(exported.form, about.config)
    return network, [*exported.stated.warnings, *([fitted] if fitted else [])]


def _classes_of(config: Config, count: int, path: str) -> Classes | None:
    """The classes that dataset_file lists, if it is named. Raises UserError if they are not the `count` of the file at `path`.

    A recipe may be that of other data: of its dataset_file other classes are passed over.
    """
    if not config.data.dataset_file:
        return None
    classes = read_classes(find_config(config.data.dataset_file))
    if len(classes) == count:
        return classes
    if "dataset_file" not in config.from_files:
        check_agreement(f"{path} has", {"class_num": (count, len(classes))}, data_classes=True)
    return None


def _advice(name: str) -> str:
    """What to do about an argument that `load` does not have."""
    if name in KEYS:
        return "it is a key of the commands, and does not change how a network labels images: leave it out"
    return hint(name).replace("--help all lists the keys", "help(load) lists the arguments")


def _plain(value: Any) -> Any:
    """The value in Python's own types: numbers of numpy, and paths, too."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
