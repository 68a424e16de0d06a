"""What a description says to a client: how any image is fitted to the file, and how the file's output becomes its labels."""

from typing import Any

from segformer_core.config.keys import Config
from segformer_core.data.dataset import IGNORED
from segformer_core.protocol.form import Form
from segformer_core.spec.model import LOGIT_STRIDE

SCHEMA = "segformer_core/export/sidecar.schema.json"
"""The JSON schema of a description, in the repository and in the installed package."""
SCHEMA_VERSION = "1.2"
"""Of a description: its first number is its `format`, the second grows when a field is added."""


def described_fit(form: Form, config: Config) -> dict[str, Any]:
    """The rule of `protocol/fit.py` with the numbers of this file; `padding` is in the values that the file takes."""
    fit = form.fit(config.data.base_size, config.evaluation.eval_size_divisor)
    return {
        "base_size": list(fit.base_size),
        "frame": list(fit.frame) if fit.frame else None,
        "least": fit.least,
        "multiple": fit.multiple,
        "keep_ratio": True,
        "rounding": "half up",
        "interpolation": "bilinear",
        "align_corners": False,
        "antialias": False,
        "position": "top left",
        "padding": list(form.padding),
        "rule": (
            "scale = min(max(base_size) / max(image), min(base_size) / min(image)); with a frame at most frame height / "
            "image height and frame width / image width; side = floor(side * scale + 0.5), at least `least`, rounded up to "
            "`multiple`, at most the frame's; resize, then fill the frame with `padding`"
        ),
    }


def described_labels(form: Form) -> dict[str, Any]:
    """From the file's output to the labels of the image."""
    return {
        "kind": form.output_name,
        "stride": 1 if form.labels else LOGIT_STRIDE,
        "interpolation": "nearest" if form.labels else "bilinear",
        "align_corners": False,
        "arg_max": not form.labels,
        "ignore": IGNORED,
        "rule": (
            "keep the fitted image's rows and columns (its sides divided by `stride`, rounded up), resize them to the image's "
            "size; with `arg_max` the label is the class of the largest; `ignore` is no class, and the file never gives it"
        ),
    }
