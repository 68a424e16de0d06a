"""Write a file for another runtime, compare its outputs with the network's, and only then put it in place."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.config.keys import Config
from segformer_core.config.remembered import LABELLING, recipe_of
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.data.dataset import Classes
from segformer_core.data.description import find_description, read_classes
from segformer_core.data.image_file import read_image
from segformer_core.data.image_form import ImageForm
from segformer_core.data.layout import open_dataset
from segformer_core.data.naming import named_classes
from segformer_core.errors import DataError
from segformer_core.export.choice import choose_form, sidecar_path, target
from segformer_core.export.fresh import DoesNotRun, run_afresh
from segformer_core.export.int8 import find_calibration, quantise
from segformer_core.export.packages import packages_to_run
from segformer_core.export.probe import probed
from segformer_core.export.sidecar import ExportedFile, Origin, Proof, write_sidecar
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
from segformer_core.export.web_folder import check_browser, how_to_serve, web_target, write_page
from segformer_core.export.web_runtime import runtime_files
from segformer_core.files import atomic_write, sha256_of_files, writable_directory
from segformer_core.protocol.form import FORMATS, INT8, WEB, Form
from segformer_core.protocol.learner import Backend, Learner
from segformer_core.protocol.probe import Probe
from segformer_core.spec.model import SegFormer
from segformer_core.weights.remembered import Stated


@dataclass(frozen=True)
class Subjects:
    """(H, W, C) images to compare outputs on, where they are from, and the data's classes (None if it names none)."""

    images: Sequence[np.ndarray]
    source: str
    classes: Classes | None


def export(
    config: Config,
    spec: SegFormer,
    arrays: Mapping[str, np.ndarray],
    weights: Mapping[str, str],
    stated: Stated,
    backend: Backend,
    log: Callable[[str], None],
    probe: Probe | None = None,
) -> Path:
    """Write the file and its description, and around them the page of a WEB folder. Returns the file's path.

    `weights` describes the weights for the description, `stated` is what they say of their classes and of their recipe, and
    `probe` runs the network in lower types if that is asked for.
    Raises UserError, which is Unproven if the file's outputs are not the network's. After an error nothing is left of the file.
    """
    form = choose_form(config, spec, backend.name, backend.device)
    stem = config.export.export_name or f"segformer.{spec.variant}"
    web = config.export.export_format == WEB
    if web:
        check_browser(form, config.data.image_range)
    path = web_target(config, stem) if web else target(config, form, stem)
    web_runtime = runtime_files(config.export.export_web_runtime, os.environ, log) if web else {}
    new_folder = web and not path.parent.exists()
    writable_directory(path.parent)
    calibration = find_calibration(config) if form.precision == INT8 else None
    subjects = find_subjects(config, spec, form)
    learner = backend.learner(spec, config, log)
    learner.load_arrays(arrays)
    runtime = config.runtime.runtime
    write = partial(backend.exports.write, spec, arrays)
    begun = time.perf_counter()

    def produce(temporary: Path) -> None:
        log(f"writing {form.format}, {form.precision}, {described_size(form)} …")
        write(form, temporary)
        int8 = None
        if calibration:
            before = prove(temporary, replace(form, precision=form.arithmetic), learner, subjects.images, backend, runtime)
            log(f"proved in {form.arithmetic}: {before}")
            int8 = quantise(temporary, form, spec, config, calibration, backend, log)
        with runnable(temporary, form, write) as (file, tried):
            written = time.perf_counter()
            log(
                f"written in {written - begun:.1f} s; running the {tried.format} file in a process of its own on "
                f"{subjects.source} …"
            )
            comparison = prove(file, tried, learner, subjects.images, backend, runtime)
        log(f"proved: {comparison}, in {time.perf_counter() - written:.1f} s")
        worst = probed(probe, spec, arrays, form, subjects.images, log) if probe else {}
        exported = ExportedFile(path, sha256_of_files(temporary), form, backend.name, packages_to_run(form.format, runtime))
        origin = Origin(spec, config, weights, named(stated, subjects.classes, spec), kept_recipe(stated, config))
        write_sidecar(exported, origin, Proof(comparison, subjects.source, worst, int8))

    try:
        atomic_write(path, produce)
    finally:
        if not path.exists():
            sidecar_path(path).unlink(missing_ok=True)
            if new_folder:
                with suppress(OSError):
                    path.parent.rmdir()
    log(f"export: {path}, {path.stat().st_size / 1e6:.1f} MB; {sidecar_path(path).name} describes it")
    if web:
        write_page(path.parent, web_runtime)
        log(f"page: {path.parent / 'index.html'}; {how_to_serve(path.parent)}")
    return path


@contextmanager
def runnable(file: Path, form: Form, write: Callable[[Form, Path], object]) -> Iterator[tuple[Path, Form]]:
    """The file to run and its form: `file` itself or, if no backend can run its format, a temporary file of the same network."""
    tried = replace(form, format=FORMATS[form.format].proved_as or form.format)
    if tried == form:
        yield file, form
        return
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".export-") as folder:
        stand_in = Path(folder) / f"{file.stem}{tried.suffix}"
        write(tried, stand_in)
        yield stand_in, tried


def prove(
    path: Path, form: Form, learner: Learner, images: Sequence[np.ndarray], backend: Backend, runtime: str = "auto"
) -> Comparison:
    """Compare the file's outputs, computed by the package `runtime`, with the network's. Raises Unproven."""
    batches = image_batches(images, form)
    network_inputs = [normalised(batch, form) for batch in batches]
    try:
        with run_afresh(backend, path, batches if form.preprocess else network_inputs, runtime) as outputs:
            logits = [learner.forward(batch) for batch in network_inputs]
            comparison = compare(outputs(), logits, batches, form)
    except (DoesNotRun, Unproven) as error:
        raise Unproven(f"the {form.format} file is not kept: {error}") from error
    allowed = TOLERANCES[form.precision, backend.device.lower() == "cpu"]
    if not comparison.within(allowed):
        most = allowed.difference
        near = "" if most is None else f"a difference of at most {most * comparison.scale:.2g} and "
        raise Unproven(
            f"the {form.format} file is not kept: {comparison}; expected {near}at least {allowed.agreement:.1%} equal labels"
        )
    return comparison


def find_subjects(config: Config, spec: SegFormer, form: Form) -> Subjects:
    """The first validation images of the dataset in data_path, or made images without a dataset.

    Raises UserError for an unreadable image.
    """
    data = config.data
    try:
        dataset = open_dataset(data.data_path, "val", data.dataset_file, with_labels=False)
    except DataError:
        description = find_description(Path(data.data_path), data.dataset_file)
        classes = read_classes(description) if description else None
        images, source = made_images(IMAGES_COMPARED, form.size, form.channels), "made images"
    else:
        classes = dataset.classes
        images = [read_image(item.image, ImageForm.of(config)) for item in dataset.items[:IMAGES_COMPARED]]
        source = f"images of {data.data_path}"
    return Subjects(images, source, classes)


def named(stated: Stated, of_data: Classes | None, spec: SegFormer) -> Classes | None:
    """The classes as the weights have them, else as the data has them if these are as many, else Cityscapes' if there are 19."""
    if stated.classes:
        return named_classes(stated.classes, stated.colours, spec.class_count, "")
    return next((classes for classes in (of_data, CITYSCAPES) if classes and len(classes) == spec.class_count), None)


def kept_recipe(stated: Stated, config: Config) -> dict[str, Any]:
    """The weights' recipe, with the keys that say how an image is shown as they are now."""
    now = recipe_of(config)
    return dict(stated.recipe) | {name: now[name] for name in LABELLING}


def described_size(form: Form) -> str:
    height, width = form.size
    return "images of any size" if form.dynamic else f"images of {height}×{width}"
