"""int8: a file is calibrated on images, judged against itself in fp32, and kept only if it labels as well."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.config.keys import Config, EvaluationConfig
from segformer_core.data.dataset import Dataset
from segformer_core.data.image_file import ARRAY_SUFFIXES, IMAGE_SUFFIXES, read_image
from segformer_core.data.image_form import ImageForm
from segformer_core.data.layout import open_dataset
from segformer_core.data.listing import files
from segformer_core.errors import ConfigError, DataError, one_line, plural
from segformer_core.evaluation.evaluate import Evaluation, evaluate
from segformer_core.export.exported import as_input, opened, segmenter_of
from segformer_core.export.verification import Unproven
from segformer_core.inference.segmenter import Segmenter
from segformer_core.protocol.form import Form
from segformer_core.protocol.learner import Backend, Quantizer
from segformer_core.spec.model import SegFormer

LABELS_PER_POINT = 2.0
"""Per cent of labels that may change where no truth says which of them were right, for a point of mIoU that may be lost."""
RANKED_ON = 4
"""Calibration images on which the groups are ranked by what each costs alone."""
MOST_KEPT = 0.5
"""The share of the groups that may stay in fp32; a file with more of them would not be one of int8."""


@dataclass(frozen=True)
class Calibration:
    """The images by which the range of each value is found, and where they are from."""

    paths: tuple[Path, ...]
    source: str


@dataclass(frozen=True)
class Verdict:
    """What int8 costs on so many images: points of mIoU, or per cent of the labels where `miou` is None."""

    loss: float
    allowed: float
    images: int
    miou: tuple[float, float] | None = None
    by_class: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """The IoU, before and after, of each class that the images show."""

    @property
    def holds(self) -> bool:
        return self.loss <= self.allowed

    def __str__(self) -> str:
        on = f"on {plural(self.images, 'image')}, {self.allowed:g} may be"
        if self.miou is None:
            return f"{self.loss:.2f} % of the labels change {on}"
        most = max(((one - other, name) for name, (one, other) in self.by_class.items()), default=(0.0, ""))
        worst = f" (most by {one_line(most[1])}: {100.0 * most[0]:.2f})" if most[0] > 0 else ""
        return f"mIoU {self.miou[0]:.4f} becomes {self.miou[1]:.4f}, {self.loss:.2f} points are lost{worst} {on}"


Judge = Callable[[Path], Verdict]


def find_calibration(config: Config) -> Calibration:
    """The images, spread evenly over the folder or the training split. Raises ConfigError if there are none."""
    folder, count = config.export.export_calibration_path, config.export.export_calibration_images
    if folder:
        paths = [path for path in files(Path(folder)) if path.suffix.lower() in IMAGE_SUFFIXES + ARRAY_SUFFIXES]
        if not paths:
            raise ConfigError(f"export_calibration_path is {folder}, which holds no images; expected a folder of some")
        source = f"images of {folder}"
    else:
        data = config.data
        try:
            paths = [item.image for item in open_dataset(data.data_path, "train", data.dataset_file, with_labels=False).items]
        except DataError as error:
            raise ConfigError(
                f"int8 is calibrated on training images, and there are none: {error}; or give a folder of images like those that "
                "the file will see, as --export_calibration_path"
            ) from error
        source = f"training images of {data.data_path}"
    places = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    return Calibration(tuple(paths[place] for place in places), source)


def quantise(
    path: Path,
    form: Form,
    spec: SegFormer,
    config: Config,
    calibration: Calibration,
    backend: Backend,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Replace a proven file, still in fp32, by one of int8. Returns what a description says of it.

    Raises Unproven if it labels worse than export_int8_loss allows, whatever of it stays in fp32: `path` is then unchanged.
    """
    assert backend.exports.quantizer
    runtime = config.runtime.runtime

    def shown(file: Path) -> Segmenter:
        size = form.fit(config.data.base_size, config.evaluation.eval_size_divisor).base_size
        evaluation = replace(EvaluationConfig(), eval_size_divisor=config.evaluation.eval_size_divisor)
        session = opened(file, form, backend, runtime)
        return segmenter_of(session, form, backend, spec, replace(config.data, base_size=size), evaluation, None)

    before = shown(path)

    def inputs() -> Iterator[np.ndarray]:
        for image in calibration.paths:
            yield as_input(form, before.prepare(read_image(image, before.form)).images[0][None])

    log(f"calibrating on {plural(len(calibration.paths), 'image')}, {calibration.source} …")
    quantizer = backend.exports.quantizer(path, inputs())
    allowed = config.export.export_int8_loss
    validation = _validation(config, spec)
    truth = scored(before, validation) if validation else None
    if validation and truth and truth.counts.any():
        judge = by_truth(truth, shown, validation, allowed)
    else:
        judge = by_labels(before, shown, _seen(config, calibration), allowed)
    ranking = by_labels(before, shown, calibration.paths[:RANKED_ON], 0.0)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        file = Path(folder) / f"int8{path.suffix}"
        kept, verdict = search(quantizer, judge, ranking, file, log)
        path.write_bytes(file.read_bytes())
    return described(calibration, quantizer, kept, verdict)


def search(
    quantizer: Quantizer, judge: Judge, ranking: Judge, file: Path, log: Callable[[str], None]
) -> tuple[tuple[str, ...], Verdict]:
    """Write `file` with as much in int8 as `judge` allows; returns the groups that stay in fp32, costliest first.

    The group that alone costs most goes first, then the next, until the verdict holds. Raises Unproven.
    """
    kept: list[str] = []
    costs: list[tuple[float, str]] = []
    while True:
        quantizer.write([group for group in quantizer.groups if group not in kept], file)
        verdict = judge(file)
        log(f"int8{f' without {kept[-1]}' if kept else ''}: {verdict}")
        if verdict.holds:
            return tuple(kept), verdict
        if len(kept) >= MOST_KEPT * len(quantizer.groups):
            raise Unproven(
                f"the int8 file is not kept: {verdict}, with {', '.join(kept)} in fp32; calibrate on more images like those that "
                "the file will see, raise export_int8_loss, or export fp32 or fp16"
            )
        if not costs:
            log(f"looking for the layers that cost most, {plural(len(quantizer.groups), 'group')} …")
            for group in quantizer.groups:
                quantizer.write([group], file)
                costs.append((ranking(file).loss, group))
            costs.sort(key=lambda pair: -pair[0])
        kept.append(costs[len(kept)][1])


def by_truth(before: Evaluation, shown: Callable[[Path], Segmenter], validation: Dataset, allowed: float) -> Judge:
    """Judges by the mean IoU of the classes that the validation images show.

    A class that the file sees once, and that is nowhere, is a wrong pixel of others; its own IoU of 0 would weigh as a class.
    """
    shows = before.counts.sum(1) > 0
    expected = before.scores.iou

    def judge(file: Path) -> Verdict:
        found = scored(shown(file), validation).scores.iou
        rows = zip(validation.classes.names, expected, found, shows, strict=True)
        by_class = {name: (float(one), float(other)) for name, one, other, is_there in rows if is_there}
        miou = float(expected[shows].mean()), float(found[shows].mean())
        return Verdict(100.0 * (miou[0] - miou[1]), allowed, len(validation), miou, by_class)

    return judge


def scored(segmenter: Segmenter, validation: Dataset) -> Evaluation:
    return evaluate(segmenter, validation, lambda _: None, "")


def by_labels(before: Segmenter, shown: Callable[[Path], Segmenter], images: Sequence[Path], allowed: float) -> Judge:
    """Judges by the share of the images' labels that change."""

    def labels_of(segmenter: Segmenter, image: Path) -> np.ndarray:
        return segmenter.label([segmenter.prepare(read_image(image, segmenter.form))])[0]

    def judge(file: Path) -> Verdict:
        after, changed, pixels = shown(file), 0, 0
        for image in images:
            expected = labels_of(before, image)
            changed, pixels = changed + int((labels_of(after, image) != expected).sum()), pixels + expected.size
        return Verdict(100.0 * changed / max(pixels, 1), LABELS_PER_POINT * allowed, len(images))

    return judge


def described(calibration: Calibration, quantizer: Quantizer, kept: Sequence[str], verdict: Verdict) -> dict[str, Any]:
    """The part `int8` of a description."""
    return {
        "calibration": {"images": len(calibration.paths), "images_from": calibration.source},
        "int8": [group for group in quantizer.groups if group not in kept],
        "fp32": list(kept),
        "judged": {
            "by": "labels" if verdict.miou is None else "miou",
            "images": verdict.images,
            "loss": verdict.loss,
            "allowed": verdict.allowed,
            **({} if verdict.miou is None else {"miou": list(verdict.miou)}),
            **({"iou": {name: list(pair) for name, pair in verdict.by_class.items()}} if verdict.by_class else {}),
        },
    }


def _validation(config: Config, spec: SegFormer) -> Dataset | None:
    """The validation images with their labels; None where there are none, or of other classes than the network's."""
    data = config.data
    try:
        dataset = open_dataset(data.data_path, "val", data.dataset_file)
    except DataError:
        return None
    fits = len(dataset.classes) == spec.class_count and all(item.label for item in dataset.items)
    return replace(dataset, form=ImageForm.of(config)) if fits else None


def _seen(config: Config, calibration: Calibration) -> tuple[Path, ...]:
    """Validation images without labels, else those of the calibration."""
    data = config.data
    try:
        items = open_dataset(data.data_path, "val", data.dataset_file, with_labels=False).items
    except DataError:
        return calibration.paths
    return tuple(item.image for item in items[: config.export.export_calibration_images])
