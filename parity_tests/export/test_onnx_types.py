"""The types and the names of axes in a written ONNX graph: what another compiler is to keep."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from parity_tests.export.export_files import ARRAYS, SPEC, connected, form
from segformer_core.config.keys import RuntimeConfig

BLOCKS = 8
HEAD_SUMS = 4
"""BatchNorm's shift, and the maps of levels 2 to 4."""
FORMS = {
    "fp16": form(dynamic=True, precision="fp16"),
    "fp32": form(dynamic=True, preprocess=True, labels=True),
    "one size": form(),
}


def graph(name: str, folder: Path) -> SimpleNamespace:
    """A file of this form, which is made once: its graph, nodes, values, constants, and name -> type by ONNX's own inference."""
    backend = connected("torch")(RuntimeConfig(device_target="CPU"))
    import onnx

    path = folder / f"{name}.onnx"
    if not path.exists():
        backend.exports.write(SPEC, ARRAYS, FORMS[name], path)
    model = onnx.shape_inference.infer_shapes(onnx.load(path), check_type=True, strict_mode=True)
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    constants = {array.name: array for array in model.graph.initializer}
    constants |= {node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"}
    types |= {name: array.data_type for name, array in constants.items()}
    return SimpleNamespace(nodes=model.graph.node, types=types, constants=constants, values=values, graph=model.graph)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("types")


def test_a_file_of_fp16_says_of_each_operator_what_it_computes_in(folder):
    seen = graph("fp16", folder)
    import onnx

    full, half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    sums = 0
    for node in seen.nodes:
        got = {seen.types[name] for name in (*node.input, *node.output) if name} & {full, half}
        if node.op_type in ("MatMul", "Conv", "Gemm"):
            assert got == {half}, node.name
        elif node.op_type in ("LayerNormalization", "Softmax", "Relu"):
            assert got == {full}, node.name
        elif node.op_type == "Cast":
            assert got == {full, half}, node.name
        elif node.op_type in ("Add", "Sum") and got:
            of_maps = not set(node.input) & seen.constants.keys()
            assert got == {full} or not of_maps, f"{node.name}: a sum of two maps"
            sums += got == {full}
    assert sums == 2 * BLOCKS + HEAD_SUMS
    assert [seen.types[value.name] for value in (*seen.graph.input, *seen.graph.output)] == [full, full]
    kept = {name for name, array in seen.constants.items() if array.data_type == full and len(array.dims)}
    assert {name for name in kept if "norm" not in name} == {"decode_head.groups.0.bias"}, "BatchNorm, folded"


@pytest.mark.parametrize("name", ["fp32", "one size"])
def test_a_file_of_fp32_holds_nothing_else(name, folder):
    seen = graph(name, folder)
    import onnx

    assert onnx.TensorProto.FLOAT16 not in seen.types.values() and onnx.TensorProto.BFLOAT16 not in seen.types.values()
    casts = [(seen.types[node.input[0]], seen.types[node.output[0]]) for node in seen.nodes if node.op_type == "Cast"]
    pixels, labels = (onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT), (onnx.TensorProto.INT64, onnx.TensorProto.UINT8)
    assert casts == ([pixels, labels] if FORMS[name].preprocess else [])


@pytest.mark.parametrize("name", FORMS)
def test_axes_of_any_length_have_names(name, folder):
    seen = graph(name, folder)
    dims = [dim for value in seen.values for dim in value.type.tensor_type.shape.dim]
    words = {word for dim in dims for word in re.findall(r"[A-Za-z_]\w*", dim.dim_param)}
    assert words == ({"batch", "height", "width"} if FORMS[name].dynamic else set())
    shapes = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*seen.graph.input, *seen.graph.output)
    ]
    if name == "one size":
        assert shapes == [[1, 3, 64, 96], [1, 3, 16, 24]]
    elif FORMS[name].preprocess:
        assert shapes == [["batch", "height", "width", 3], ["batch", "height", "width"]]
    else:
        assert shapes[0] == ["batch", 3, "height", "width"] and shapes[1][:2] == ["batch", 3]
