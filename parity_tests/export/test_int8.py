"""int8: what is quantised, that the file labels as in fp32, and that it is refused where it does not."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.conftest import need
from parity_tests.export.export_files import ARRAYS, SMALL, SPEC, connected, described, form
from parity_tests.export.json_schema import faults
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import hot_arrays
from parity_tests.training_runs import FULL, flags
from segformer_core.cli import DONE, INCOMPLETE, main
from segformer_core.config.load import load_config
from segformer_core.errors import ConfigError
from segformer_core.export.choice import choose_form
from segformer_core.export.converters import converter_lines
from segformer_core.export.exported import opened
from segformer_core.export.int8 import Verdict, find_calibration, search
from segformer_core.export.usage import SCHEMA
from segformer_core.export.verification import Unproven, made_images, normalised
from segformer_core.spec.model import segformer

INT8 = {"export_precision": "int8", "export_int8_loss": 100}
BLOCKS, REDUCED, STAGES = 8, 6, 4


@pytest.fixture(scope="module")
def path(varied) -> Path:
    return varied("torch", "ONNX", **INT8)


def images(shape) -> np.ndarray:
    return normalised(np.stack(made_images(1, shape.size)), shape)


def test_products_compute_in_int8_and_the_rest_in_fp32(path):
    import onnx

    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain for entry in model.opset_import} == {""}, "operators that only ONNX Runtime has"
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    kinds = {name: [node for node in model.graph.node if node.op_type == name] for name in set(made_by.values())}
    convolutions = STAGES + REDUCED + 3 * BLOCKS + 5
    assert len(kinds["Conv"]) == convolutions and len(kinds["Gelu"]) == BLOCKS and len(kinds["Softmax"]) == BLOCKS
    assert len(kinds["Gemm"]) == 4 * BLOCKS - 2, "queries, keys, values, and the projections that are not in the values"
    linear = [*kinds["Conv"], *kinds["Gemm"]]
    assert {made_by.get(name) for node in linear for name in node.input} == {"DequantizeLinear"}
    read_by = {name: [] for name in made_by}
    for node in model.graph.node:
        for name in node.input:
            read_by.setdefault(name, []).append(node.op_type)
    quantised = [node for node in kinds["Add"] if "QuantizeLinear" in read_by[node.output[0]]]
    assert len(kinds["Add"]) == 2 * BLOCKS + 3 and len(quantised) == 3, "the head's sum, and no residual sum"
    assert len(kinds["MatMul"]) == 2 * BLOCKS and all(
        "QuantizeLinear" not in read_by[node.output[0]] for node in [*kinds["MatMul"], *kinds["Softmax"]]
    )
    weights = sum(onnx.numpy_helper.to_array(array).size for array in model.graph.initializer if array.data_type == 3)
    assert weights > 3.3e6 and path.stat().st_size < 1.3 * weights


@pytest.mark.parametrize(("numerics", "approximate"), [("nvlabs", b"none"), ("zoo", b"tanh")], ids=["erf", "tanh"])
def test_gelu_is_one_operator(numerics, approximate, tmp_path):
    """With PyTorch 2.7, too, which by itself writes several."""
    backend = connected("torch")(load_config(["--device_target", "CPU"]).runtime)
    import onnx

    spec = segformer("b0", numerics=numerics, class_count=3)
    backend.exports.write(spec, ARRAYS, form(precision="int8"), tmp_path / "net.onnx")
    nodes = onnx.load(tmp_path / "net.onnx").graph.node
    gelus = [{entry.name: entry.s for entry in node.attribute} for node in nodes if node.op_type == "Gelu"]
    assert gelus == [{"approximate": approximate}] * BLOCKS
    assert not {"Erf", "Tanh"} & {node.op_type for node in nodes}


def test_its_description_says_what_it_costs(path, folder):
    rules = json.loads((ROOT / SCHEMA).read_text())
    assert list(faults(described(path), rules, rules)) == []
    int8 = described(path)["int8"]
    assert int8["calibration"] == {"images": 1, "images_from": f"training images of {folder}"}
    assert int8["fp32"] == [] and len(int8["int8"]) == len(set(int8["int8"])), "no group was left out"
    assert {"stages.0.patch_embed.proj", "stages.3.mlp.dwconv", "decode_head.mixes.2", "decode_head.sum"} <= set(int8["int8"])
    judged = int8["judged"]
    assert judged["by"] == "miou" and judged["images"] == 3 and judged["allowed"] == 100
    assert judged["loss"] == pytest.approx(100 * (judged["miou"][0] - judged["miou"][1]))
    assert set(judged["iou"]) == {"ground", "disc", "bar"}
    for side in (0, 1):
        assert np.mean([pair[side] for pair in judged["iou"].values()]) == pytest.approx(judged["miou"][side])
    assert described(path)["convert"] == {} and converter_lines(path, form()) != {}


def test_it_labels_as_in_fp32(path, varied):
    backend = connected("torch")(load_config(["--device_target", "CPU"]).runtime)
    shape = form()
    plain = opened(varied("torch", "ONNX"), shape, backend)(images(shape))
    got = opened(path, replace(shape, precision="int8"), backend)(images(shape))
    assert 0 < np.abs(got - plain).max() < 0.5 * np.abs(plain).max(), "not the same file, and not another network"
    assert (got.argmax(1) == plain.argmax(1)).mean() > 0.8, "the scores of random weights nearly tie"


def test_openvino_runs_it(path):
    need("openvino")
    backend = connected("torch")(load_config(["--device_target", "CPU"]).runtime)
    shape = form(precision="int8")
    here, there = (opened(path, shape, backend, runtime)(images(shape)) for runtime in ("openvino", "onnxruntime"))
    assert (here.argmax(1) == there.argmax(1)).mean() > 0.8, "the scores of random weights nearly tie"


OTHER = {"any size": {"export_dynamic": True}, "pixels to labels": {"export_preprocess": True}}
BOTH = {"any size, pixels to labels": OTHER["any size"] | OTHER["pixels to labels"]}
KEYS = BOTH | (OTHER if FULL else {})


@pytest.mark.parametrize("keys", KEYS.values(), ids=list(KEYS))
def test_other_forms_have_their_layers_in_int8_too(keys, path, varied):
    assert set(described(varied("torch", "ONNX", **INT8, **keys))["int8"]["int8"]) == set(described(path)["int8"]["int8"])


class Fake:
    """A quantizer whose file is the list of the groups in int8."""

    groups = ("a", "b", "c", "d")
    costs = {"a": 1.0, "b": 4.0, "c": 0.5, "d": 2.0}  # noqa: RUF012

    def write(self, groups, path):
        path.write_text(json.dumps(list(groups)))

    def judge(self, allowed: float):
        return lambda path: Verdict(sum(self.costs[group] for group in json.loads(path.read_text())), allowed, 1)


@pytest.mark.parametrize(("allowed", "kept"), [(9.0, ()), (4.0, ("b",)), (1.5, ("b", "d"))])
def test_the_costliest_layers_stay_in_fp32(allowed, kept, tmp_path):
    fake, file, told = Fake(), tmp_path / "file", []
    found, verdict = search(fake, fake.judge(allowed), fake.judge(0.0), file, told.append)
    assert found == kept and verdict.holds
    assert json.loads(file.read_text()) == [group for group in fake.groups if group not in kept], "the file of the last verdict"
    assert len([line for line in told if line.startswith("int8")]) == len(kept) + 1


def test_a_file_that_costs_too_much_is_refused(tmp_path):
    fake = Fake()
    with pytest.raises(Unproven, match=r"1.50 % of the labels change on 1 image, 1 may be, with b, d in fp32; calibrate on more"):
        search(fake, fake.judge(1.0), fake.judge(0.0), tmp_path / "file", lambda _: None)


def test_nothing_is_written_where_labels_get_worse(weights, tmp_path, capsys):
    """By a quantizer whose file is of another network."""

    def connect(runtime):
        backend = connected("torch")(runtime)

        class Spoiling:
            groups = ("all",)

            def write(self, groups, path):
                backend.exports.write(SPEC, hot_arrays(SPEC, seed=1), form(), path)

        return replace(backend, exports=replace(backend.exports, quantizer=lambda path, inputs: Spoiling()))

    place, output = write_folder_dataset(tmp_path / "set", images=1, validation=0), tmp_path / "output"
    keys = SMALL | {"data_path": place, "export_ckpt_path": weights, "export_path": output, "export_precision": "int8"}
    output.mkdir()
    assert main("export", connect, flags(keys)) == INCOMPLETE
    said = capsys.readouterr()
    assert re.search("the int8 file is not kept: .* % of the labels change on 1 image, 1 may be, with all in fp32", said.err)
    assert list(output.iterdir()) == []


def test_it_is_judged_by_changed_labels_where_there_are_no_others(weights, tmp_path):
    place = write_folder_dataset(tmp_path / "set", images=1, validation=0)
    keys = SMALL | INT8 | {"data_path": place, "export_ckpt_path": weights, "export_path": tmp_path, "export_name": "net"}
    assert main("export", connected("torch"), flags(keys)) == DONE
    judged = described(tmp_path / "net.onnx")["int8"]["judged"]
    assert judged["by"] == "labels" and judged["images"] == 1 and judged["allowed"] == 200 and "miou" not in judged


def test_calibration_images_are_spread_over_the_training_images(tmp_path):
    root = write_folder_dataset(tmp_path / "set", images=5)

    def found(**keys) -> list[str]:
        return [path.name for path in find_calibration(load_config(flags({"data_path": root} | keys))).paths]

    assert found(export_calibration_images=3) == ["train0.png", "train2.png", "train4.png"]
    assert found() == [f"train{index}.png" for index in range(5)]
    assert found(export_calibration_path=root / "images" / "val") == ["val0.png", "val1.png"]


def test_nothing_is_calibrated_on_noise(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ConfigError, match="int8 is calibrated on training images, and there are none: .* --export_calibration_path"
    ):
        find_calibration(load_config(flags({"data_path": tmp_path / "empty"})))
    with pytest.raises(ConfigError, match="export_calibration_path is .*empty, which holds no images"):
        find_calibration(load_config(flags({"export_calibration_path": tmp_path / "empty"})))


@pytest.mark.parametrize(("backend", "name"), [("torch", "TORCH"), ("mindspore", "MINDIR")])
def test_only_onnx_files_have_it(backend, name):
    config = load_config(flags(SMALL | {"export_precision": "int8", "export_format": name}))
    with pytest.raises(ConfigError, match=f"export_precision is int8, and {name} files have none; use python -m backend_torch"):
        choose_form(config, SPEC, backend, "CPU")
