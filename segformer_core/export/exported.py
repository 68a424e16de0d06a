"""An exported file in place of a network, for `evaluate` and `infer`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segformer_core.config.agreement import check_agreement
from segformer_core.config.keys import Config, DataConfig, EvaluationConfig
from segformer_core.config.reads import WINDOWS
from segformer_core.config.remembered import checked_recipe
from segformer_core.config.values import check_value, parse_flag
from segformer_core.data.dataset import Classes
from segformer_core.errors import BackendError, ConfigError, UserError, WeightsError, brief
from segformer_core.export.packages import need_packages, packages_to_run
from segformer_core.export.sidecar import network_keys, read_sidecar
from segformer_core.inference.segmenter import Segmenter
from segformer_core.memory import is_out_of_memory
from segformer_core.protocol.bands import Arrays, Read
from segformer_core.protocol.fit import cut, next_multiple, padded
from segformer_core.protocol.form import FORMATS, Form
from segformer_core.protocol.learner import Backend, Connect, Predictor, Session
from segformer_core.protocol.plan import Plan
from segformer_core.spec.model import LOGIT_STRIDE, SegFormer
from segformer_core.weights.remembered import Stated, checked_classes

DESCRIPTION = "the file's description"
WHOLE = "whole"
"""The eval_mode in which a file of fixed size gets images fitted into that size."""
PLACE = re.compile(r"\.[ch]pp:\d+:$")
"""Of a runtime's message the lines that only name a place in its source code."""

NO_PROBABILITIES = "gives labels, which say nothing of probabilities; export with --export_output logits"


@dataclass(frozen=True)
class ExportedPredictor:
    """`of_logits` carries out a plan with the file's logits. It is not used if the file gives labels."""

    form: Form
    session: Session
    of_logits: Predictor

    def predict(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """As `Predictor.predict`; the plan is one for what the form takes."""
        if not self.form.labels:
            return self.of_logits.predict(images, plan)
        labels = run(self.session, self.form, images[0])
        return np.stack([cv2.resize(image, plan.size[::-1], interpolation=cv2.INTER_NEAREST) for image in labels])

    def bands(self, read: Read, plan: Plan, confidences: bool = False) -> Iterator[tuple[int, Arrays]]:
        """As `Predictor.bands`. Raises WeightsError as the verbs do."""
        if self.form.labels and not confidences:
            yield 0, (self.predict([read(0, 0, 0)], plan),)
        else:
            of_logits = self._with_probabilities() if confidences else self.of_logits
            yield from of_logits.bands(read, plan, confidences)

    def labels_and_confidences(self, images: Sequence[np.ndarray], plan: Plan) -> tuple[np.ndarray, np.ndarray]:
        """As `Predictor.labels_and_confidences`. Raises WeightsError if the file gives labels."""
        return self._with_probabilities().labels_and_confidences(images, plan)

    def probabilities(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """As `Predictor.probabilities`. Raises WeightsError if the file gives labels."""
        return self._with_probabilities().probabilities(images, plan)

    def _with_probabilities(self) -> Predictor:
        if self.form.labels:
            raise WeightsError(f"the file {NO_PROBABILITIES}")
        return self.of_logits


def opened(path: Path, form: Form, backend: Backend, runtime: str = "auto") -> Session:
    """The file, ready to run by the package `runtime`. Its outputs are of the form's shape and type.

    Raises WeightsError, also when it is run.
    """
    try:
        session = backend.exports.open(path, runtime)
    except UserError:
        raise
    except Exception as error:  # each runtime has its own exceptions for a damaged file
        raise WeightsError(f"{path} cannot be opened as {form.format} ({first_line(error)}); export it again") from error

    def checked(images: np.ndarray) -> np.ndarray:
        try:
            outputs = session(images)
        except Exception as error:
            if is_out_of_memory(error):
                raise  # the segmenter names what to lower
            raise WeightsError(
                f"{path} fails on images of shape {images.shape} ({first_line(error)}); export it again"
            ) from error
        count, *sides = np.delete(images.shape, 3 if form.preprocess else 1)
        shape = (count, *sides) if form.labels else (count, form.class_count, *(-(-side // LOGIT_STRIDE) for side in sides))
        kind = np.uint8 if form.labels else np.float32
        if outputs.shape != shape or outputs.dtype != kind:
            raise WeightsError(
                f"{path} gives {outputs.dtype} of shape {outputs.shape}; expected {form.output_name}, {np.dtype(kind)} of shape "
                f"{tuple(map(int, shape))}: export it again"
            )
        if form.labels and outputs.max() >= form.class_count:
            raise WeightsError(f"{path} gives class {outputs.max()}; expected 0 to {form.class_count - 1}: export it again")
        return outputs

    return checked


def first_line(error: Exception) -> str:
    """The first line of the message that says something, shortened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -\n") and not PLACE.search(line)]
    return f"{type(error).__name__}: {brief(lines[0])}" if lines else type(error).__name__


def run(session: Session, form: Form, images: np.ndarray) -> np.ndarray:
    """(B, C, H, W) float32 images -> the file's outputs for them. A static file gets them one by one, padded to its size."""
    inputs = as_input(form, images)
    if form.dynamic:
        return session(inputs)
    outputs = np.concatenate([session(inputs[index : index + 1]) for index in range(len(inputs))])
    return cut(outputs, (images.shape[2], images.shape[3]), form.labels)


def as_input(form: Form, images: np.ndarray) -> np.ndarray:
    """(B, C, H, W) float32 images -> the file's input, of the frame's size if it has one."""
    if not form.dynamic:
        images = padded(images, form.size, form.padding)
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1).astype(np.uint8)) if form.preprocess else images


@dataclass(frozen=True)
class Exported:
    """An exported file and what its description says: its form, its network's keys, its weights, and what they have stated."""

    path: Path
    form: Form
    network: Mapping[str, str]
    weights: Mapping[str, str]
    stated: Stated

    @property
    def network_keys(self) -> dict[str, Any]:
        """The keys of the configuration that say which network it is, without class_num. Raises ConfigError."""
        source = str(self.path)
        texts = {
            name: self.network[name] for name in ("backbone", "in_channels", "decoder_width", "numerics") if name in self.network
        }
        return {name: check_value(name, parse_flag(name, text), source) for name, text in texts.items()}


def read_exported(path: Path) -> Exported:
    """Raises WeightsError if the file's description is damaged, or of another file."""
    form, content = read_sidecar(path)
    return Exported(path, form, content["network"], content["weights"], stated_in(content, form))


def stated_in(content: Mapping[str, Any], form: Form) -> Stated:
    """What a description, anybody's, says of classes and recipe, as far as a file of this form can be used so."""
    entries = content.get("classes")
    entries = entries if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries) else []
    names, shades = ([entry[key] for entry in entries if key in entry] for key in ("name", "colour"))
    classes, colours, wrong = checked_classes(names, shades, form.class_count, DESCRIPTION)
    keys = content.get("recipe", content.get("settings"))
    recipe, faults = checked_recipe(keys if isinstance(keys, dict) else {}, DESCRIPTION)
    if form.labels:
        recipe = {name: value for name, value in recipe.items() if name not in WINDOWS or name == "eval_size_divisor"}
    if not form.dynamic and recipe.get("eval_mode", WHOLE) == WHOLE:
        fit = form.fit(tuple(recipe.get("base_size", form.size)), recipe.get("eval_size_divisor", 1))
        recipe |= {"base_size": list(fit.base_size)}
    normalisation = {"img_norm_mean": list(form.mean), "img_norm_std": list(form.std)}
    return Stated(classes, None, (*wrong, *faults), colours, recipe | normalisation)


def check_runtime(path: str, runtime: str) -> None:
    """Raises ConfigError for a weight file that an exported file's `runtime` is asked to run."""
    if runtime != "auto":
        raise ConfigError(f"runtime is {runtime}, which runs exported files, and {path} is none; export it, or leave runtime out")


def check_probabilities(content: object) -> None:
    """Raises ConfigError for an exported file of which no confidence can be computed."""
    if isinstance(content, Exported) and content.form.labels:
        raise ConfigError(f"{content.path} {NO_PROBABILITIES}, or leave out infer_save_confidence_img and infer_threshold")


def open_exported(
    exported: Exported, spec: SegFormer, config: Config, classes: Classes, connect: Connect
) -> tuple[Segmenter, Backend, dict[str, str]]:
    """A segmenter that runs the file, its backend, and a description of its weights for results.

    Raises UserError if the file does not fit the configuration.
    """
    path, form = exported.path, exported.form
    check_recipe(path, form, exported.network, spec, config)
    backend = connect(config.runtime)
    entry = FORMATS[form.format]
    if entry.backend != backend.name or entry.proved_as:
        where = "atc compiles it and no backend runs it" if entry.proved_as else f"backend_{entry.backend} runs it"
        raise BackendError(f"{path} is a file of {form.format}: {where}")
    runtime = config.runtime.runtime
    need_packages(form.format, packages_to_run(form.format, runtime))
    data, session = config.data, opened(path, form, backend, runtime)
    faults = "".join(f". WARNING: {fault}" for fault in exported.stated.warnings)
    note = f"; {told}" if (told := smaller_than_asked(form, config)) else ""
    by = "" if runtime == "auto" else f", by {runtime}"
    written = f"{form.format} in {form.precision}{by}, written from {exported.weights['path']}"
    source = f"running {path}: {written}{note}{faults}"
    weights = {"path": str(path), "sha256": exported.weights["sha256"], "network": config.model.backbone, "source": source}
    return segmenter_of(session, form, backend, spec, data, config.evaluation, classes), backend, weights


def segmenter_of(
    session: Session,
    form: Form,
    backend: Backend,
    spec: SegFormer,
    data: DataConfig,
    evaluation: EvaluationConfig,
    classes: Classes | None,
) -> Segmenter:
    """A segmenter that runs an opened file."""

    def logits(images: np.ndarray) -> np.ndarray:
        return run(session, form, np.ascontiguousarray(images))

    if form.preprocess:  # the file normalises images itself, so it gets values in 0..255
        data = replace(data, img_norm_mean=(0.0,) * form.channels, img_norm_std=(1.0,) * form.channels)
    predictor = ExportedPredictor(form, session, backend.exports.predictor(logits))
    return Segmenter(predictor, spec, data, evaluation, classes, takes=form.takes)


def smaller_than_asked(form: Form, config: Config) -> str:
    """What a user is told where the file's images are smaller than the largest that the network is to be shown whole; else ""."""
    evaluation, base_size = config.evaluation, list(config.data.base_size)
    if form.dynamic or evaluation.eval_mode != WHOLE:
        return ""
    scale = max(evaluation.eval_scales)
    bounds = sorted(next_multiple(int(side * scale), evaluation.eval_size_divisor) for side in base_size)
    if all(bound <= side for bound, side in zip(bounds, sorted(form.size), strict=True)):
        return ""
    asked = f"base_size {base_size}" + (f" at the scale {scale:g}" if scale > 1 else "")
    return f"images are fitted into the file's {form.size[0]}×{form.size[1]} pixels, which are less than {asked}"


def check_recipe(path: Path, form: Form, keys: Mapping[str, str], spec: SegFormer, config: Config) -> None:
    """Raises WeightsError unless the file is of this network and of images prepared alike, ConfigError if it cannot serve."""
    pairs = {key: (keys.get(key), value) for key, value in network_keys(spec).items()}
    if not form.preprocess:
        pairs["img_norm_mean"] = shown(form.mean), shown(config.data.img_norm_mean)
        pairs["img_norm_std"] = shown(form.std), shown(config.data.img_norm_std)
    check_agreement(f"{path} was exported with", pairs, data_classes=True)
    evaluation = config.evaluation
    if form.labels and (evaluation.eval_mode != WHOLE or len(evaluation.eval_scales) > 1 or evaluation.eval_flip):
        raise ConfigError(
            f"{path} gives labels, which windows, scales and mirror images cannot be averaged of; use --eval_mode whole, one of "
            "eval_scales and no eval_flip, or export with --export_output logits"
        )
    if len(evaluation.eval_scales) > 1 and smaller_than_asked(form, config):
        raise ConfigError(
            f"{path} takes images of {form.size[0]}×{form.size[1]} pixels, and base_size {list(config.data.base_size)} times the "
            f"largest of eval_scales {list(evaluation.eval_scales)} is more; lower them, or export with --export_dynamic True"
        )


def shown(values: Sequence[float]) -> str:
    """The list as a command line flag writes it: [1.0,2.0]."""
    return f"[{','.join(map(str, values))}]"
