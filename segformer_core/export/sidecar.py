"""NAME.json beside an exported file: what goes in and comes out, what it is made of, and how it was proved."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import segformer_core
from segformer_core.config.keys import Config, flat
from segformer_core.data.dataset import Classes
from segformer_core.errors import WeightsError
from segformer_core.export.choice import sidecar_path
from segformer_core.export.converters import converter_lines
from segformer_core.export.verification import Comparison
from segformer_core.files import sha256_of_files
from segformer_core.protocol.form import CHANNELS, FORMATS, IMAGES, Form
from segformer_core.spec.model import SegFormer

FORMAT = 1
"""Counts up when a reader of older files would misread a newer one."""


def describe_file(
    path: Path,
    hashed: str,
    form: Form,
    spec: SegFormer,
    config: Config,
    weights: Mapping[str, str],
    classes: Classes | None,
    proof: Comparison,
    images: str,
    backend: str,
) -> dict[str, Any]:
    """The description of `path`, whose content has the SHA-256 `hashed`; `images` says which images it was proved on."""
    height, width = ("height", "width") if form.dynamic else form.size
    batch = "batch" if form.dynamic else 1
    quarter = ["height / 4, rounded up", "width / 4, rounded up"] if form.dynamic else [-(-side // 4) for side in form.size]
    layout = [batch, height, width, CHANNELS] if form.preprocess else [batch, CHANNELS, height, width]
    normalisation = "inside the file" if form.preprocess else "before the file: (value - mean) / std, value and both in 0..255"
    packages = FORMATS[form.format].writers + FORMATS[form.format].runtime
    return {
        "format": FORMAT,
        "file": {"name": path.name, "sha256": hashed},
        "form": asdict(form),
        "network": network_keys(spec),
        "input": {
            "name": IMAGES,
            "shape": layout,
            "dtype": "uint8" if form.preprocess else "float32",
            "layout": "NHWC" if form.preprocess else "NCHW",
            "colour_order": "RGB",
            "normalisation": normalisation,
            "mean": list(form.mean),
            "std": list(form.std),
        },
        "output": {
            "name": form.output_name,
            "shape": [batch, height, width] if form.labels else [batch, form.class_count, *quarter],
            "dtype": "uint8" if form.labels else "float32",
            "meaning": "class index of each pixel" if form.labels else "scores of the classes; upsample bilinearly, then arg-max",
        },
        "classes": described_classes(classes, form.class_count),
        "weights": dict(weights),
        "verification": asdict(proof) | {"agreement": proof.agreement, "images_from": images},
        "convert": converter_lines(path, form),
        "versions": {
            "segformer": segformer_core.__version__,
            "python": platform.python_version(),
            backend: version(backend),
            **{package: version(package) for package in packages},
        },
        "settings": flat(config),
    }


def network_keys(spec: SegFormer) -> dict[str, str]:
    """The configuration's keys that decide what network it is."""
    identity = spec.identity()
    return {"backbone": f"mit_{identity.pop('variant')}", **identity}


def described_classes(classes: Classes | None, count: int) -> list[dict[str, Any]]:
    """Name and RGB colour by class index; of an unknown dataset only the index."""
    if classes is None:
        return [{"index": index} for index in range(count)]
    pairs = zip(classes.names, classes.colours, strict=True)
    return [{"index": index, "name": name, "colour": list(colour)} for index, (name, colour) in enumerate(pairs)]


def read_sidecar(path: Path) -> tuple[Form, dict[str, Any]]:
    """The form of an exported file, and all that its description says. Raises WeightsError if it is not that file's."""
    described = sidecar_path(path)
    if not path.is_file():
        raise WeightsError(f"no such weight file: {path}")
    try:
        content = json.loads(described.read_text(encoding="utf-8"))
        form: dict[str, Any] = {item.name: content["form"][item.name] for item in fields(Form)}
        hashed, _ = content["file"]["sha256"], content["network"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise WeightsError(
            f"cannot read {described}, which says what {path.name} takes and gives ({error}); keep both together, or export again"
        ) from error
    if content["format"] != FORMAT:
        raise WeightsError(f"{described} has format {content['format']}; expected {FORMAT}: export the file again")
    if sha256_of_files(path) != hashed:
        raise WeightsError(f"{path} is not the file that {described.name} describes; export it again")
    form |= {name: tuple(value) for name, value in form.items() if isinstance(value, list)}
    return Form(**form), content
