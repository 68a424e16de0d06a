"""Files of the network for other runtimes, written and run; `backend_torch/exported.py` is its twin."""

from collections.abc import Mapping
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from backend_mindspore.deployment import Deployed
from backend_mindspore.device import keep_convolutions
from backend_mindspore.prediction import Prediction
from segformer_core.export.messages import MINDIR, checked_bytes
from segformer_core.protocol.form import Form
from segformer_core.protocol.learner import Exports, Session
from segformer_core.spec import model as spec

READABLE = 0o644
"""MindSpore makes files that only their owner may read, and nobody may write."""


def write(spec: spec.SegFormer, arrays: Mapping[str, np.ndarray], form: Form, path: Path) -> None:
    """Raises OSError if it cannot write."""
    network = Deployed(spec, arrays, form)
    shape: list[int | None] = [*form.input_shape]
    dtype = ms.uint8 if form.preprocess else ms.float32
    if form.dynamic:
        for axis in form.input_axes.values():
            shape[axis] = None
        images = Tensor(shape=shape, dtype=dtype)
        network.set_inputs(images)
    else:
        images = Tensor(np.zeros(form.input_shape), dtype)
    ms.export(network, images, file_name=str(path), file_format=form.format)
    path.chmod(READABLE)


def open_file(path: Path, runtime: str = "auto") -> Session:
    """The file, to be run by MindSpore on the connected device: there is no other `runtime` for it."""
    checked_bytes(path, MINDIR)
    keep_convolutions()  # those of the file
    network = nn.GraphCell(ms.load(str(path)))

    def run(images: np.ndarray) -> np.ndarray:
        return network(Tensor(images)).asnumpy()

    return run


def predictor(logits: Session) -> Prediction:
    """A file that gives logits, as a `Predictor`."""

    def run(images: Tensor) -> Tensor:
        return Tensor(logits(images.asnumpy()))

    return Prediction(run)


EXPORTS = Exports(write, open_file, predictor)
