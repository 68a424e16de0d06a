"""Files of the network for other runtimes, written and run; `backend_mindspore/exported.py` is its twin."""

import contextlib
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from backend_torch.deployment import Deployed
from backend_torch.openvino_session import open_openvino
from backend_torch.prediction import Prediction
from backend_torch.quantization import Calibrated
from backend_torch.rounding import run_rounded
from segformer_core.export.archive import read_archive
from segformer_core.export.messages import ONNX, checked_bytes
from segformer_core.protocol.form import FORMATS, IMAGES, INT8, Form
from segformer_core.protocol.learner import Exports, Session
from segformer_core.protocol.probe import Rounded
from segformer_core.spec import model as spec

SMALLEST = FORMATS["TORCH"].smallest
"""The smallest side in pixels that torch.export allows where sizes vary. (An ONNX file then also takes smaller images.)"""
OPSET = 18
"""The oldest that the exporter writes without converting; LayerNormalization came with 17."""
INT8_OPSET = 20
"""It has Gelu. Between integers ONNX Runtime does not find a GELU that is written out, and computes it in four operators."""


def write(spec: spec.SegFormer, arrays: Mapping[str, np.ndarray], form: Form, path: Path) -> None:
    """Raises OSError if it cannot write."""
    with quiet():
        path.write_bytes(SERIALISED[form.format](traced(spec, arrays, form), form))


def traced(spec: spec.SegFormer, arrays: Mapping[str, np.ndarray], form: Form) -> torch.export.ExportedProgram:
    """The network as a graph of operators."""
    network = Deployed(spec, arrays, form)
    shape, smallest = list(form.input_shape), {"batch": 1, "height": SMALLEST, "width": SMALLEST}
    if form.dynamic:  # an axis of length 1 would be taken for a constant
        for name, axis in form.input_axes.items():
            shape[axis] = max(shape[axis], 2 * smallest[name])
    images = torch.zeros(shape, dtype=torch.uint8 if form.preprocess else torch.float32)
    axes = {axis: Dim(name, min=smallest[name]) for name, axis in form.input_axes.items()}
    with quiet():
        return torch.export.export(network, (images,), dynamic_shapes=(axes,) if form.dynamic else None)


def onnx_bytes(program: torch.export.ExportedProgram, form: Form) -> bytes:
    int8 = form.precision == INT8
    translations: dict[Callable, Callable] = {torch.ops.aten.gelu.default: gelu} if int8 else {}
    written = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=INT8_OPSET if int8 else OPSET,
        custom_translation_table=translations,
        verbose=False,
        input_names=[IMAGES],
        output_names=[form.output_name],
    )
    assert written is not None, "dynamo=True returns the program"
    model = written.model_proto
    name_axes(model.graph, form)
    return model.SerializeToString()


def gelu(self: Any, approximate: str = "none") -> Any:
    """One operator of opset 20; PyTorch 2.7 itself writes several. The arguments' names and types are those of aten.gelu."""
    from onnxscript import opset20

    return opset20.Gelu(self, approximate=approximate)


def name_axes(graph: Any, form: Form) -> None:
    """Call the axes of any length batch, height and width everywhere in an ONNX graph, in place of PyTorch's s34, s14 and s54."""
    (images,) = graph.input
    dims = images.type.tensor_type.shape.dim
    names = {dims[axis].dim_param: name for name, axis in form.input_axes.items() if dims[axis].dim_param}
    for value in (*graph.input, *graph.value_info, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(r"[A-Za-z_]\w*", lambda symbol: names.get(symbol[0], symbol[0]), dim.dim_param)


def torch_bytes(program: torch.export.ExportedProgram, form: Form) -> bytes:
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def open_onnx(path: Path) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # else all cores, whatever OMP_NUM_THREADS says
    options.log_severity_level = 4  # what is wrong is told once, by the exception
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # its threads would wait on PyTorch's cores
    content = checked_bytes(path, ONNX)  # of bytes the runtime knows no folder whose files it could read
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    return lambda images: session.run(None, {IMAGES: images})[0]


def open_torch(path: Path) -> Session:
    """Not by torch.export.load, which unpickles: it would run what a stranger has put into the file."""
    from torch._export.serde.serialize import SerializedArtifact, deserialize  # a second to import, for other commands in vain

    archive = read_archive(path)
    state: dict[str, Tensor] = {name: torch.from_numpy(array) for name, array in archive.arrays.items()}
    state |= {name: nn.Parameter(state[name], requires_grad=False) for name in archive.parameters & state.keys()}
    artifact = SerializedArtifact(json.dumps(archive.program).encode(), state, {}, b"")  # type: ignore[arg-type]
    network = deserialize(artifact).module()

    @torch.inference_mode()
    def run(images: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(images)).numpy()

    return run


SERIALISED = {"ONNX": onnx_bytes, "TORCH": torch_bytes}
OPENED = {".onnx": open_onnx, ".pt2": open_torch}


def open_file(path: Path, runtime: str = "auto") -> Session:
    """The file, to be run on a CPU by the package `runtime`, or by the first of its format."""
    return open_openvino(path) if runtime == "openvino" else OPENED[path.suffix](path)


def predictor(logits: Session) -> Prediction:
    """A file that gives logits, as a `Predictor`."""

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(logits(images.numpy()))

    return Prediction(run, torch.device("cpu"))


@contextlib.contextmanager
def quiet():
    """Silences the exporter's warnings about operators that this network does not have."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def probe(
    spec: spec.SegFormer, arrays: Mapping[str, np.ndarray], form: Form, batches: Sequence[np.ndarray], types: Sequence[str]
) -> dict[str, Rounded]:
    graph: Any = traced(spec, arrays, form).module()
    return {precision: run_rounded(graph, batches, precision) for precision in types}


EXPORTS = Exports(write, open_file, predictor, probe, Calibrated)
