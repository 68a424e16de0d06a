"""ONNX and MINDIR files looked at before a runtime loads them: no other files, no operators of strangers, no graphs in graphs.

Both are protobuf messages. A table says, for each message, in which fields other messages lie and which fields are refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from segformer_core.errors import WeightsError, brief
from segformer_core.export.json_checks import Unexpected
from segformer_core.files import special_file
from segformer_core.weights.containers.protobuf import fields

DEEPEST = 20
LONGEST_NAME = 300


@dataclass(frozen=True)
class Message:
    """Field number -> the message in it (`inside`), what it must not hold (`refused`), or the check of its text (`texts`)."""

    inside: Mapping[int, str]
    refused: Mapping[int, str]
    texts: Mapping[int, Callable[[str], bool]]


EXTERNAL, SUBGRAPH, FUNCTION = "data of another file", "a graph inside an operator", "operators of its own"

ONNX = {
    "model": Message({7: "graph", 8: "opset"}, {20: "a training step", 25: FUNCTION, 26: "a split over devices"}, {}),
    "opset": Message({}, {}, {1: lambda domain: domain in ("", "ai.onnx")}),
    "graph": Message({1: "node", 5: "tensor"}, {15: "sparse arrays"}, {}),
    "node": Message({5: "attribute"}, {}, {4: lambda kind: kind.isidentifier(), 7: lambda domain: domain in ("", "ai.onnx")}),
    "attribute": Message({5: "tensor", 10: "tensor"}, {6: SUBGRAPH, 11: SUBGRAPH, 22: "sparse arrays", 23: "sparse arrays"}, {}),
    "tensor": Message({}, {13: EXTERNAL, 14: EXTERNAL}, {}),
}

MINDIR_OPERATORS = {
    *("Abs", "Add", "AddN", "ArgMaxExt", "ArgMaxWithValue", "Argmax", "AvgPool", "BatchMatMul", "BatchNorm", "BiasAdd"),
    *("BroadcastTo", "Cast", "ClampScalar", "Concat", "Constant", "Conv2D", "Depend", "Div", "Divs", "DynamicShape", "Equal"),
    *("Erf", "Exp", "ExpandDims", "FlashAttentionScore", "Flatten", "FloorDiv", "Gather", "GeLU", "Greater", "Identity"),
    *("LayerNorm", "LayerNormExt", "Less", "Load", "MakeList", "MakeTuple", "MatMul", "MatMulExt", "Maximum", "Minimum"),
    *("Mod", "Mul", "Muls", "Neg", "Pad", "PadV3", "Pow", "RealDiv", "ReLU", "ReduceMax", "ReduceMean", "ReduceSum"),
    *("Reshape", "ResizeBilinear", "ResizeBilinearV2", "ResizeNearestNeighbor", "Rsqrt", "ScalarAdd", "ScalarCast"),
    *("ScalarDiv", "ScalarFloorDiv", "ScalarMax", "ScalarMin", "ScalarMod", "ScalarMul", "ScalarSub", "ScalarToTensor"),
    *("Select", "Shape", "Sigmoid", "Slice", "SliceExt", "Softmax", "Split", "Sqrt", "Square", "Squeeze", "StopGradient"),
    *("StridedSlice", "Sub", "Subs", "Tanh", "TensorShape", "TensorToScalar", "Tile", "Transpose", "TupleGetItem"),
    *("TupleToTensor", "UpdateState", "UpsampleBilinear2D", "ZerosLike", "make_tuple", "return", "Return"),
}
"""Arithmetic, by MindSpore's names: not `Custom`, which loads a library or source code, and none that read or write files."""


def mindir_operator(name: str) -> bool:
    """A node names its operator itself, or refers to one of the model's list: REF::Conv2D:13."""
    return name.removeprefix("REF::").partition(":")[0] in MINDIR_OPERATORS


MINDIR = {
    "model": Message({7: "graph", 8: "graph", 12: "primitive"}, {9: "a data pipeline", 11: "a split over devices"}, {}),
    "graph": Message({1: "node", 3: "tensor", 5: "value", 6: "value", 8: "attribute"}, {10: "hash tables"}, {}),
    "node": Message({5: "attribute", 8: "attribute", 9: "attribute"}, {}, {4: mindir_operator}),
    "primitive": Message({3: "attribute"}, {}, {2: mindir_operator}),
    "value": Message({2: "tensor", 5: "attribute"}, {}, {}),
    "attribute": Message(
        {6: "tensor", 12: "tensor", 17: "attribute"},
        {7: SUBGRAPH, 13: SUBGRAPH, 19: "Python functions", 20: SUBGRAPH},
        {},
    ),
    "tensor": Message({}, {12: EXTERNAL}, {}),
}


def checked_bytes(path: Path, messages: Mapping[str, Message]) -> bytes:
    """The bytes of an ONNX or MINDIR file. Raises WeightsError for what no exported SegFormer has, and for damage."""
    kind = special_file(path)
    if kind:
        raise WeightsError(f"{path} is {kind}; expected an exported file")
    try:
        raw = path.read_bytes()
        _check(memoryview(raw), "model", messages, 0)
    except Unexpected as error:
        raise WeightsError(
            f"{path} has {error}, which no exported SegFormer has; nothing of it was run; do not trust the file, or export it "
            "again"
        ) from error
    except (OSError, ValueError, IndexError) as error:
        raise WeightsError(f"{path} is damaged, or no exported file ({brief(str(error))}); export it again") from error
    return raw


def _check(message: memoryview, kind: str, messages: Mapping[str, Message], depth: int) -> None:
    if depth > DEEPEST:
        raise Unexpected("messages nested too deeply")
    known = messages[kind]
    for number, value in fields(message):
        if number in known.refused:
            raise Unexpected(known.refused[number])
        if number in known.inside:
            _check(_bytes(value), known.inside[number], messages, depth + 1)
        elif number in known.texts:
            text = bytes(_bytes(value)[:LONGEST_NAME]).decode()
            if not known.texts[number](text):
                raise Unexpected(f"the {kind} {brief(text)}")


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message is expected")
    return value
