"""An ONNX file run by OpenVINO on a CPU."""

import io
from pathlib import Path

import numpy as np
import torch

from segformer_core.export.messages import ONNX, checked_bytes
from segformer_core.export.packages import imported
from segformer_core.protocol.learner import Session

SETTINGS = {
    "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 on a CPU that has it, which changes labels
    "PERFORMANCE_HINT": "LATENCY",  # one image at a time, by all threads
    "ENABLE_CPU_PINNING": False,  # its threads would hold on to the cores that PyTorch's want
}


def open_openvino(path: Path) -> Session:
    """The file, computed in float32, one of fp16 too: with the weights as they are in the file."""
    openvino = imported("openvino")
    content = checked_bytes(path, ONNX)  # of bytes the runtime knows no folder whose files it could read
    core = openvino.Core()
    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}  # else all cores, whatever OMP_NUM_THREADS says
    compiled = core.compile_model(core.read_model(io.BytesIO(content)), "CPU", SETTINGS | threads)
    request = compiled.create_infer_request()

    def run(images: np.ndarray) -> np.ndarray:
        request.start_async(images, share_inputs=True)  # infer() hides a lack of memory and gives the last image's output again
        request.wait()
        return request.get_output_tensor(0).data.copy()

    return run
