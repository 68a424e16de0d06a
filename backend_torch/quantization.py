"""An ONNX file in int8, by ONNX Runtime's quantizer: int8 weights of each output channel, uint8 values, QDQ operators.

Convolutions, linear layers and the sum of the decode head compute in int8. LayerNorm, attention's products, softmax, GELU and the
residual sums stay in fp32: in int8 they gain nothing on a processor.
"""

import contextlib
import logging
import re
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segformer_core.protocol.form import IMAGES

PRODUCTS = ("Conv", "Gemm", "MatMul")
HEAD_SUM = ("Resize", "Add", "Relu")
LAYER = re.compile(r"(stages\.\d+\.)(?:blocks\.\d+\.)?(.+)\.(?:weight|bias)|(decode_head\.).*?(\w+(?:\.\d+)?)\.(?:weight|bias)")
"""The name of a layer's array: stage and layer, or a layer of the head."""
SUM = "decode_head.sum"


class Calibrated:
    """A `Quantizer`: the file's graph, and the range of each of its values on the inputs."""

    def __init__(self, path: Path, inputs: Iterator[np.ndarray]):
        with tempfile.TemporaryDirectory() as folder, quiet():
            prepared = Path(folder) / "prepared.onnx"
            prepare(path, prepared)
            self.ranges = ranges(prepared, Path(folder) / "augmented.onnx", inputs)
            self.model = prepared.read_bytes()
        self.nodes = layers(self.model)
        self.groups = tuple(self.nodes)

    def write(self, groups: Collection[str], path: Path) -> None:
        from onnxruntime.quantization import QDQQuantizer, QuantType

        nodes = [node for group in self.groups if group in groups for node in self.nodes[group]]
        model = loaded(self.model)
        if nodes:  # to the quantizer no names are all names
            options = {"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]}  # what follows them is fp32
            kinds = [*PRODUCTS, *HEAD_SUM]
            with quiet():
                quantizer = QDQQuantizer(
                    model, True, False, QuantType.QInt8, QuantType.QUInt8, self.ranges, nodes, [], kinds, options
                )
                quantizer.quantize_model()
            quantizer.model.topological_sort()  # ONNX Runtime alone takes any order
            model = quantizer.model.model
        path.write_bytes(plain(model).SerializeToString())


def prepare(path: Path, prepared: Path) -> None:
    """Bias and product in one operator, as the quantizer knows them; nothing that only ONNX Runtime has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(prepared)
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def ranges(prepared: Path, augmented: Path, inputs: Iterator[np.ndarray]) -> Any:
    """The least and the largest number of each value."""
    from onnxruntime.quantization import CalibrationDataReader, create_calibrator

    class Reader(CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            images = next(inputs, None)
            return None if images is None else {IMAGES: images}

    calibrator = create_calibrator(prepared, [*PRODUCTS, *HEAD_SUM], str(augmented))
    calibrator.collect_data(Reader())
    return calibrator.compute_data()


def layers(model: bytes) -> dict[str, list[str]]:
    """Group -> the names of its operators, in the graph's order. The products of attention are in none."""
    graph = loaded(model).graph
    constants = {array.name for array in graph.initializer}
    added = {name: node.input for node in graph.node if node.op_type == "Add" for name in node.input}
    in_sum = head_sum(graph)
    groups: dict[str, list[str]] = {}
    for node in graph.node:
        if node.op_type in PRODUCTS and node.input[1] in constants:
            arrays = (*node.input, *added.get(node.output[0], ()))  # of a linear layer only the bias keeps its name
            group = next(filter(None, (group_of(name) for name in arrays if name in constants)), "")
        else:
            group = SUM if node.name in in_sum else ""
        if group:
            groups.setdefault(group, []).append(node.name)
    return groups


def head_sum(graph: Any) -> set[str]:
    """The names of what leads to the head's ReLU, back to its convolutions: not residual sums, nor a Resize of the logits."""
    made_by = {name: node for node in graph.node for name in node.output}
    names, seen = set(), [node for node in graph.node if node.op_type == "Relu"]
    while seen:
        node = seen.pop()
        if node.op_type in HEAD_SUM:
            names.add(node.name)
            seen += [made_by[name] for name in node.input if name in made_by]
    return names


def group_of(array: str) -> str:
    """`stages.0.blocks.1.mlp.fc1.weight` -> `stages.0.mlp.fc1`; empty if no layer has the array."""
    found = LAYER.fullmatch(array)
    return "".join(filter(None, found.groups())) if found else ""


def loaded(model: bytes) -> Any:
    import onnx

    return onnx.load_model_from_string(model)


def plain(model: Any) -> Any:
    """Without the operator sets that ONNX Runtime notes and no operator is of, and with no array that seems of another file."""
    for array in model.graph.initializer:
        assert array.HasField("raw_data") or not array.external_data
        array.ClearField("data_location")
    own = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(own)
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the quantizer's advice, which was followed."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
