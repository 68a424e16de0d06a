"""The sidecar of an exported file: net.onnx.json says what goes into net.onnx and comes out, its origin and its proof."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import segformer_core
from segformer_core.config.keys import MOST_CHANNELS, Config, flat
from segformer_core.data.dataset import Classes
from segformer_core.data.image_form import RGB_CHANNELS
from segformer_core.errors import WeightsError, brief, one_line
from segformer_core.export.choice import sidecar_path
from segformer_core.export.converters import converter_lines
from segformer_core.export.json_checks import Check, Unexpected, boolean, by_name, fields, integer, number, one_of
from segformer_core.export.usage import SCHEMA, SCHEMA_VERSION, described_fit, described_labels
from segformer_core.export.verification import Comparison
from segformer_core.files import sha256_of_files, special_file, write_text
from segformer_core.protocol.form import FORMATS, IMAGES, INT8, Form
from segformer_core.spec.model import LOGIT_STRIDE, SegFormer

SIDECAR_VERSION = 1
"""Increased when code that reads older descriptions would misread a newer one."""
LONGEST_SIDECAR = 2**22
"""Bytes; one of a hundred classes has 20 thousand."""


def several(check: Check, count: int) -> Check:
    def checked(values: Any) -> list[Any]:
        if not isinstance(values, list) or len(values) != count:
            raise Unexpected(f"{brief(values)} for {count} values")
        return [check(value) for value in values]

    return checked


def for_channels(values: Any) -> list[Any]:
    """A number for each channel."""
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_CHANNELS:
        raise Unexpected(f"{brief(values)} for a number of each channel")
    return [number(value) for value in values]


def between(low: int, high: int) -> Check:
    def checked(value: Any) -> int:
        if low <= integer(value) <= high:
            return int(value)
        raise Unexpected(f"{brief(value)}; expected {low} to {high}")

    return checked


def text(value: Any) -> str:
    """On one line, since it may be shown."""
    if isinstance(value, str) and len(value) <= LONGEST_VALUE:
        return one_line(value)
    raise Unexpected(f"{brief(value)} as a text")


LONGEST_VALUE = 5000
"""Characters of a text in a description; the longest path has 4095."""
DESCRIPTION = fields(
    {
        "file": fields({"sha256": text}),
        "form": fields(
            {
                "format": one_of(frozenset(FORMATS)),
                "size": several(between(1, 2**16), 2),
                "dynamic": boolean,
                "precision": one_of({"fp32", "fp16", INT8}),
                "preprocess": boolean,
                "labels": boolean,
                "mean": for_channels,
                "std": for_channels,
                "class_count": between(1, 2**16),
            }
        ),
        "network": by_name(text, text),
        "weights": fields({"path": text, "sha256": text}),
    }
)
"""What is read of a description; the rest is for people and other programs."""


@dataclass(frozen=True)
class ExportedFile:
    """The path the file will have, the SHA-256 of its bytes, what goes in and comes out, and what wrote it and ran its proof."""

    path: Path
    sha256: str
    form: Form
    backend: str
    ran_by: tuple[str, ...]
    """The packages that ran it, besides the backend."""


@dataclass(frozen=True)
class Origin:
    """What a file is made from. `weights` describes the weight file; `classes` is None if nothing names them.

    `recipe` holds values of `config.remembered.RECIPE`: those of the run that trained the weights, as far as they are known.
    """

    spec: SegFormer
    config: Config
    weights: Mapping[str, str]
    classes: Classes | None
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """How far the file's answers are from the network's, which images both answered for, and what int8 costs.

    `probe` is what `export.probe` has found with these images; empty where it was not asked for.
    """

    comparison: Comparison
    images_from: str
    probe: Mapping[str, Any] = field(default_factory=dict)
    int8: Mapping[str, Any] | None = None


def describe_file(file: ExportedFile, origin: Origin, proof: Proof) -> dict[str, Any]:
    """The content of the file's sidecar."""
    form, comparison = file.form, proof.comparison
    return {
        "format": SIDECAR_VERSION,
        "version": SCHEMA_VERSION,
        "schema": SCHEMA,
        "file": {"name": file.path.name, "sha256": file.sha256},
        "form": asdict(form),
        "network": network_keys(origin.spec),
        "input": described_input(form),
        "output": described_output(form),
        "fit": described_fit(form, origin.config),
        "labels": described_labels(form),
        "classes": described_classes(origin.classes, form.class_count),
        "weights": dict(origin.weights),
        "verification": asdict(comparison) | {"agreement": comparison.agreement, "images_from": proof.images_from},
        **({"probe": dict(proof.probe)} if proof.probe else {}),
        **({} if proof.int8 is None else {INT8: dict(proof.int8)}),
        "convert": converter_lines(file.path, form),
        "versions": package_versions(file),
        "settings": flat(origin.config),
        "recipe": dict(origin.recipe),
    }


def described_input(form: Form) -> dict[str, Any]:
    batch, height, width = axes(form)
    normalisation = "inside the file" if form.preprocess else "before the file: (value - mean) / std, value and both in 0..255"
    return {
        "name": IMAGES,
        "shape": [batch, height, width, form.channels] if form.preprocess else [batch, form.channels, height, width],
        "dtype": "uint8" if form.preprocess else "float32",
        "layout": "NHWC" if form.preprocess else "NCHW",
        "channels": form.channels,
        **({"colour_order": "RGB"} if form.channels == RGB_CHANNELS else {}),
        "normalisation": normalisation,
        "mean": list(form.mean),
        "std": list(form.std),
    }


def described_output(form: Form) -> dict[str, Any]:
    batch, height, width = axes(form)
    shown = [f"{side} / {LOGIT_STRIDE}, rounded up" for side in ("height", "width")]
    quarter = shown if form.dynamic else [-(-side // LOGIT_STRIDE) for side in form.size]
    return {
        "name": form.output_name,
        "shape": [batch, height, width] if form.labels else [batch, form.class_count, *quarter],
        "dtype": "uint8" if form.labels else "float32",
        "meaning": "class index of each pixel" if form.labels else "scores of the classes; upsample bilinearly, then arg-max",
    }


def axes(form: Form) -> tuple[int | str, int | str, int | str]:
    """Length of the axes batch, height and width; its name where it may have any length."""
    return ("batch", "height", "width") if form.dynamic else (1, *form.size)


def package_versions(file: ExportedFile) -> dict[str, str]:
    """Package -> version, of the packages that write and run the file."""
    packages = (file.backend, *FORMATS[file.form.format].writers, *file.ran_by)
    own = {"segformer": segformer_core.__version__, "python": platform.python_version()}
    return own | {package: version(package) for package in packages}


def network_keys(spec: SegFormer) -> dict[str, str]:
    """The configuration keys that determine the network, with their values."""
    identity = spec.identity()
    return {"backbone": f"mit_{identity.pop('variant')}", **identity}


def described_classes(classes: Classes | None, count: int) -> list[dict[str, Any]]:
    """Index, name and RGB colour of each class; only the index if the dataset is unknown."""
    if classes is None:
        return [{"index": index} for index in range(count)]
    pairs = zip(classes.names, classes.colours, strict=True)
    return [{"index": index, "name": name, "colour": list(colour)} for index, (name, colour) in enumerate(pairs)]


def write_sidecar(file: ExportedFile, origin: Origin, proof: Proof) -> None:
    """Write the description beside the file's path. Raises UserError."""
    content = describe_file(file, origin, proof)
    write_text(sidecar_path(file.path), json.dumps(content, indent=1, ensure_ascii=False))


def read_sidecar(path: Path) -> tuple[Form, dict[str, Any]]:
    """The form of an exported file and its whole description, of which `network` and `weights` are checked too.

    Raises WeightsError if the description is damaged, or of another file.
    """
    described = sidecar_path(path)
    for file in (path, described):
        if kind := special_file(file):
            raise WeightsError(f"{file} is {kind}; expected a regular file")
    if not path.is_file():
        raise WeightsError(f"no such weight file: {path}")
    try:
        with described.open("rb") as opened:
            raw = opened.read(LONGEST_SIDECAR + 1)
        if len(raw) > LONGEST_SIDECAR:
            raise ValueError(f"it is longer than {LONGEST_SIDECAR} bytes")
        content = json.loads(raw)
        version = content["format"]
        checked = DESCRIPTION(content) if version == SIDECAR_VERSION else {}
    except (OSError, ValueError, LookupError, TypeError, RecursionError, Unexpected) as error:
        raise WeightsError(
            f"cannot read {described}, the description of {path.name} ({why(error)}); keep both in one folder, or export again"
        ) from error
    if version != SIDECAR_VERSION:
        raise WeightsError(f"{described} has format {brief(version)}; expected {SIDECAR_VERSION}: export the file again")
    if sha256_of_files(path) != checked["file"]["sha256"]:
        raise WeightsError(f"{path} is not the file that {described.name} describes; export it again")
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in checked["form"].items()}
    form = Form(**fields)
    if len(form.mean) != len(form.std) or checked["network"].get("in_channels") != str(form.channels):
        raise WeightsError(f"{described} has mean and deviation that do not fit the network's channels; export the file again")
    if form.suffix != path.suffix:
        raise WeightsError(f"{described} describes a file of {form.format}; expected one whose name ends in {path.suffix}")
    return form, content | {name: checked[name] for name in ("network", "weights")}


def why(error: Exception) -> str:
    if isinstance(error, Unexpected):
        return f"it has {error}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
