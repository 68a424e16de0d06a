"""An ONNX file run by OpenVINO on a CPU."""

import io
from pathlib import Path

import torch

from segformer_core.export.messages import ONNX, checked_bytes
from segformer_core.export.packages import imported
from segformer_core.protocol.learner import Session

SETTINGS = {
    "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 on a CPU that has it: up to 2 % of the labels changed
    "PERFORMANCE_HINT": "LATENCY",  # one image at a time, by all threads
    "ENABLE_CPU_PINNING": False,  # its threads would hold on to the cores that PyTorch's want
}


def open_openvino(path: Path) -> Session:
    """fp32 means fp32 here: a file of fp16 is computed in fp32 with the weights of the file."""
    openvino = imported("openvino")
    content = checked_bytes(path, ONNX)  # of bytes the runtime knows no folder whose files it could read
    core = openvino.Core()
    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}  # else all cores, whatever OMP_NUM_THREADS says
    network = core.compile_model(core.read_model(io.BytesIO(content)), "CPU", SETTINGS | threads)
    return lambda images: network(images)[0]
