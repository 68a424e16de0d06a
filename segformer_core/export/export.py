"""Write a file for another runtime, prove it, and only then put it in place."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segformer_core.config.keys import Config
from segformer_core.data.dataset import Classes
from segformer_core.data.image_file import read_image
from segformer_core.data.layout import find_classes, open_dataset
from segformer_core.errors import DataError
from segformer_core.export.choice import choose_form, sidecar_path, target
from segformer_core.export.fresh import DoesNotRun, run_afresh
from segformer_core.export.sidecar import describe_file
from segformer_core.export.verification import (
    IMAGES_COMPARED,
    TOLERANCES,
    Comparison,
    Unproven,
    compare,
    image_batches,
    made_images,
    normalised,
)
from segformer_core.files import atomic_write, sha256_of_files, writable_directory, write_text
from segformer_core.protocol.form import FORMATS, Form
from segformer_core.protocol.learner import Backend, Learner
from segformer_core.spec.model import SegFormer


@dataclass(frozen=True)
class Subjects:
    """(H, W, 3) uint8 RGB images to compare answers on, a word on where they are from, and the classes, if known."""

    images: Sequence[np.ndarray]
    source: str
    classes: Classes | None


def export(
    config: Config,
    spec: SegFormer,
    arrays: Mapping[str, np.ndarray],
    weights: Mapping[str, str],
    backend: Backend,
    log: Callable[[str], None],
) -> Path:
    """The written file. Raises UserError: Unproven if its answer is not the network's; then nothing is left of it."""
    form = choose_form(config, spec, backend.name, backend.device)
    path = target(config, form, config.export.export_name or f"segformer.{spec.variant}")
    writable_directory(path.parent)
    subjects = find_subjects(config, spec, form)
    learner = backend.learner(spec, config, log)
    learner.load_arrays(arrays)

    def produce(temporary: Path) -> None:
        log(f"writing {form.format}, {form.precision}, {described_size(form)} …")
        backend.exports.write(spec, arrays, form, temporary)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            proved, tried = temporary, replace(form, format=FORMATS[form.format].proved_as or form.format)
            if tried != form:
                proved = Path(folder) / f"{path.stem}{tried.suffix}"
                backend.exports.write(spec, arrays, tried, proved)
            log(f"running the {tried.format} file in a process of its own on {subjects.source} …")
            proof = prove(proved, tried, learner, subjects.images, backend)
        log(f"proved: {proof}")
        content = describe_file(
            path, sha256_of_files(temporary), form, spec, config, weights, subjects.classes, proof, subjects.source, backend.name
        )
        write_text(sidecar_path(path), json.dumps(content, indent=1, ensure_ascii=False))

    try:
        atomic_write(path, produce)
    finally:
        if not path.exists():
            sidecar_path(path).unlink(missing_ok=True)
    log(f"export: {path}, {path.stat().st_size / 1e6:.1f} MB; {sidecar_path(path).name} describes it")
    return path


def prove(path: Path, form: Form, learner: Learner, images: Sequence[np.ndarray], backend: Backend) -> Comparison:
    """Compare the file's answers with the network's. Raises Unproven."""
    batches = image_batches(images, form)
    network_inputs = [normalised(batch, form) for batch in batches]
    try:
        got = run_afresh(backend, path, batches if form.preprocess else network_inputs)
        proof = compare(got, [learner.forward(batch) for batch in network_inputs], batches, form)
    except (DoesNotRun, Unproven) as error:
        raise Unproven(f"the {form.format} file is not kept: {error}") from error
    allowed = TOLERANCES[form.precision, backend.device.lower() == "cpu"]
    if not proof.within(allowed):
        logits = "" if allowed.difference is None else f"{allowed.difference * proof.scale:.2g} and "
        raise Unproven(f"the {form.format} file is not kept: {proof}; allowed are {logits}{allowed.agreement:.1%} of the labels")
    return proof


def find_subjects(config: Config, spec: SegFormer, form: Form) -> Subjects:
    """The first images of the dataset that data_path names, else made ones. Raises UserError for an unreadable one."""
    data = config.data
    try:
        dataset = open_dataset(data.data_path, "val", data.dataset_file, with_labels=False)
    except DataError:
        classes = find_classes(Path(data.data_path), data.dataset_file)
        images, source = made_images(IMAGES_COMPARED, form.size), "made images"
    else:
        classes = dataset.classes
        images = [read_image(item.image) for item in dataset.items[:IMAGES_COMPARED]]
        source = f"images of {data.data_path}"
    return Subjects(images, source, classes if len(classes) == spec.class_count else None)


def described_size(form: Form) -> str:
    height, width = form.size
    return "images of any size" if form.dynamic else f"images of {height}×{width}"
