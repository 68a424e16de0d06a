"""The clients of `examples`, which import nothing of ours, give the labels of `infer` on photos of odd sizes."""

import ast
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from parity_tests.conftest import need
from parity_tests.export.client_photos import EXAMPLES, FILES, check, succeeded
from parity_tests.training_runs import FULL

PYTHON = {"onnxruntime": "onnxruntime_client.py", "openvino": "openvino_client.py"}


def run_client(runtime: str, path: Path, photos: list[Path], output: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    home = output / "home"
    home.mkdir()
    said = succeeded([sys.executable, EXAMPLES / PYTHON[runtime], path, output, *photos], environment | {"HOME": str(home)})
    assert not (home / "intel").exists(), "OpenVINO keeps nothing about the user"
    return said


CASES = [(runtime, name) for runtime in PYTHON for name in FILES if FULL or runtime == "onnxruntime" or "size," in name]
"""By OpenVINO the two files that differ most: one of any size, and one from pixels to labels."""


@pytest.mark.parametrize(("runtime", "name"), CASES)
def test_a_python_client_gives_the_labels_of_infer(runtime, name, of_infer, city_photos, tmp_path):
    need(runtime)
    path, labels, ties = of_infer(name)
    said = run_client(runtime, path, city_photos, tmp_path)
    assert check(tmp_path, labels, city_photos, ties) > 100_000
    assert all(f"{photo} " in said for photo in city_photos) and "ground " in said, "the classes are named"


LITE = """
from types import SimpleNamespace

import onnxruntime


class ModelType:
    MINDIR = 0


def Context():
    return SimpleNamespace(ascend=SimpleNamespace())


class Model:
    def build_from_file(self, path, kind, context):
        assert kind == ModelType.MINDIR and context.target == ["ascend"]
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def get_inputs(self):
        inputs = SimpleNamespace()
        inputs.set_data_from_numpy = lambda values: setattr(inputs, "values", values)
        return [inputs]

    def predict(self, inputs):
        outputs = self.session.run(None, {self.session.get_inputs()[0].name: inputs[0].values})
        return [SimpleNamespace(get_data_to_numpy=lambda: outputs[0])]
"""
"""Stands in for mindspore_lite, which is in no package index; it runs the file that was not converted."""


def test_the_client_of_mindspore_lite_with_a_stand_in_for_it(of_infer, city_photos, tmp_path):
    path, labels, ties = of_infer("another size than the recipe's")
    (tmp_path / "mindspore_lite.py").write_text(LITE)
    command = [sys.executable, EXAMPLES / "mindspore_lite_client.py", path, path, tmp_path, *city_photos]
    succeeded(command, os.environ | {"PYTHONPATH": str(tmp_path)})
    assert check(tmp_path, labels, city_photos, ties) > 100_000


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("fit", "base_size", [40, 60]),
        ("fit", "multiple", 32),
        ("fit", "padding", [3.0, 3.0, 3.0]),
        ("input", "mean", [0.0, 0.0, 0.0]),
        ("input", "std", [20.0, 20.0, 20.0]),
        ("labels", "stride", 5),
    ],
)
def test_a_client_has_its_numbers_from_the_sidecar(part, field, value, of_infer, city_photos, tmp_path):
    """With another number in it the labels are others."""
    path, labels, ties = of_infer("one size")
    other = shutil.copy(path, tmp_path / "net.onnx")
    content = json.loads(path.with_name("net.onnx.json").read_text())
    content[part][field] = value
    (tmp_path / "net.onnx.json").write_text(json.dumps(content))
    run_client("onnxruntime", other, city_photos[:4], tmp_path)
    with pytest.raises(AssertionError, match="labels of .* differ"):
        check(tmp_path, labels, city_photos[:4], ties[:4])


def test_a_client_refuses_a_description_of_another_format(of_infer, city_photos, tmp_path):
    path, _, _ = of_infer("one size")
    content = json.loads(path.with_name("net.onnx.json").read_text())
    (tmp_path / "net.onnx.json").write_text(json.dumps(content | {"format": 2}))
    with pytest.raises(AssertionError, match="has format 2; this client knows format 1"):
        run_client("onnxruntime", tmp_path / "net.onnx", city_photos[:1], tmp_path)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_a_client_imports_nothing_of_ours(path):
    allowed = {*sys.stdlib_module_names, "cv2", "numpy", "onnxruntime", "openvino", "mindspore_lite", "fitting"}
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= allowed
