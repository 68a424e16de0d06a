"""A description is as `sidecar.schema.json` says, whichever form the file has, and a wrong one is not."""

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest

from parity_tests import ROOT
from parity_tests.export.export_files import SPEC, described, form
from parity_tests.export.json_schema import KEYWORDS, SAID_ONLY, faults
from segformer_core.config.load import load_config
from segformer_core.data.dataset import IGNORED, Classes
from segformer_core.export.sidecar import SIDECAR_VERSION, ExportedFile, Origin, Proof, describe_file
from segformer_core.export.usage import SCHEMA, SCHEMA_VERSION, described_fit, described_labels
from segformer_core.export.verification import Comparison

FORMS = {
    "ONNX of logits": {},
    "ONNX from pixels to labels": {"preprocess": True, "labels": True},
    "ONNX of any size": {"dynamic": True, "precision": "fp16"},
    "TORCH of labels of any size": {"name": "TORCH", "dynamic": True, "labels": True},
    "ONNX of int8": {"precision": "int8"},
    "MINDIR": {"name": "MINDIR"},
    "gray": {"mean": (127.5,), "std": (127.5,)},
}
SIZES = load_config(["--base_size=[360,480]", "--eval_size_divisor=32"])


def schema() -> dict[str, Any]:
    package, _, name = SCHEMA.rpartition("/")
    return json.loads((resources.files(package.replace("/", ".")) / name).read_text(encoding="utf-8"))


def description(**changes: Any) -> dict[str, Any]:
    classes = Classes(tuple(f"class {index}" for index in range(SPEC.class_count)), ((1, 2, 3),) * SPEC.class_count)
    shape = form(**changes)
    spec = replace(SPEC) if shape.channels == 3 else SPEC
    origin = Origin(spec, SIZES, {"path": "w.safetensors", "sha256": "0"}, None if "dynamic" in changes else classes)
    file = ExportedFile(ROOT / f"net{shape.suffix}", "0" * 64, shape, "mindspore" if shape.format == "MINDIR" else "torch", ())
    content = describe_file(file, origin, Proof(Comparison(3, 100, 2.0, 1e-6, 4, 0), "made images"))
    return json.loads(json.dumps(content))


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_as_the_schema_says(name, need_torch, need_mindspore):
    rules = schema()
    assert list(faults(description(**FORMS[name]), rules, rules)) == []


def test_what_export_writes_is_as_the_schema_says(varied):
    rules = schema()
    content = described(varied("torch", "ONNX"))
    assert list(faults(content, rules, rules)) == []
    assert content["version"] == SCHEMA_VERSION and SCHEMA_VERSION.split(".")[0] == str(SIDECAR_VERSION)
    assert (ROOT / content["schema"]).is_file()


def changed(content: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    *folders, name = place.split("/")
    inner = content
    for folder in folders:
        inner = inner[folder] if not isinstance(inner, list) else inner[int(folder)]
    if value is None:
        del inner[name]
    else:
        inner[name] = value
    return content


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("fit", None),
        ("fit/frame", None),
        ("fit/base_size", [512]),
        ("fit/base_size", [512, 0]),
        ("fit/frame", 7),
        ("fit/least", True),
        ("fit/align_corners", True),
        ("fit/align_corners", 0),
        ("fit/padding", ["0"]),
        ("fit/another", 1),
        ("labels/interpolation", "cubic"),
        ("labels/ignore", 256),
        ("classes/0/colour", [1, 2]),
        ("classes/0/index", None),
        ("input/dtype", "float16"),
        ("version", "2.0"),
        ("version", None),
        ("schema", "another.json"),
        ("file/sha256", "0"),
        ("versions/torch", 2),
        ("another", {}),
    ],
)
def test_what_is_not_as_the_schema_says_is_found(place, value, need_torch):
    rules = schema()
    assert len(list(faults(changed(description(), place, value), rules, rules))) == 1


def test_no_keyword_of_the_schema_is_passed_over():
    def keywords(rules: dict[str, Any]):
        yield from rules
        for inner in [*rules.get("properties", {}).values(), *rules.get("$defs", {}).values(), *rules.get("anyOf", ())]:
            yield from keywords(inner)
        for name in ("items", "additionalProperties"):
            if name in rules:
                yield from keywords(rules[name])

    assert set(keywords(schema())) <= KEYWORDS.keys() | SAID_ONLY


def test_how_images_are_fitted_to_a_file_of_one_size():
    config = load_config(["--base_size=[50,90]", "--eval_size_divisor=32"])
    content = described_fit(form(), config)
    del content["rule"]
    assert content == {
        "base_size": [50, 90],
        "frame": [64, 96],
        "least": 32,
        "multiple": 32,
        "keep_ratio": True,
        "rounding": "half up",
        "interpolation": "bilinear",
        "align_corners": False,
        "antialias": False,
        "position": "top left",
        "padding": [0.0, 0.0, 0.0],
    }
    assert described_fit(form(preprocess=True), SIZES)["padding"] == [124.0, 116.0, 104.0]
    assert described_fit(form(), SIZES)["base_size"] == [64, 96], "the recipe's is another"


def test_how_images_are_fitted_to_a_file_of_any_size():
    content = described_fit(form("TORCH", dynamic=True), SIZES)
    assert (content["base_size"], content["frame"], content["least"], content["multiple"]) == ([360, 480], None, 64, 32)


def test_how_output_becomes_labels():
    kinds = {
        "kind": "logits",
        "stride": 4,
        "interpolation": "bilinear",
        "align_corners": False,
        "arg_max": True,
        "ignore": IGNORED,
    }
    assert kinds.items() <= described_labels(form()).items()
    kinds |= {"kind": "labels", "stride": 1, "interpolation": "nearest", "arg_max": False}
    assert kinds.items() <= described_labels(form(labels=True)).items()
