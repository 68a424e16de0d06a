"""The forms in which `compare_exports` deploys a network, and what the process of each one does."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from segformer_core.commands.opening import OTHER_SPLIT, connector, opened_dataset, opened_segmenter, read_subject
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.data.dataset import read_pair
from segformer_core.evaluation.metrics import confusion_matrix
from segformer_core.protocol.form import FORMATS

Answer = tuple[float, np.ndarray, np.ndarray]
"""Of one image: the seconds from its pixels to its labels, the (H, W) uint8 labels, and their (K, K) confusion matrix."""


def open_labelling(backend: str, words: Sequence[str]) -> Callable[[int], Answer]:
    """In a form's process: an image's place in the dataset -> its Answer. Raises UserError."""
    config = load_config(words, READS["evaluate"])
    dataset = opened_dataset(config, config.evaluation.eval_split, OTHER_SPLIT)
    subject = read_subject(config.evaluation.eval_ckpt_path, config, dataset.classes)
    segmenter, *_ = opened_segmenter(subject, connector(backend))

    def answer(index: int) -> Answer:
        image, truth = read_pair(dataset.items[index], dataset.classes, segmenter.form)
        start = time.perf_counter()
        labels = segmenter.label([segmenter.prepare(image)])[0]
        return time.perf_counter() - start, labels, confusion_matrix(truth, labels, len(dataset.classes))

    return answer


@dataclass(frozen=True)
class Deployment:
    """Which backend writes it, the file's name ("" for the weights themselves), and the keys that export it.

    `runtime` runs it, and `open` is what its process does. `packages` are those that must be installed.
    """

    backend: str
    file: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    runtime: str = "auto"
    packages: tuple[str, ...] = ()
    open: Callable[[str, Sequence[str]], Callable[[int], Answer]] = open_labelling


def _file(format_: str, precision: str = "fp32") -> dict[str, str]:
    """The keys of export for a file."""
    return {"export_format": format_, "export_precision": precision}


TORCH, MINDSPORE = ("torch",), ("mindspore",)
ONNX = (*TORCH, *FORMATS["ONNX"].writers, "onnxruntime")
OPENVINO = (*ONNX, "openvino")
FORMS = {
    "torch": Deployment("torch", packages=TORCH),
    "mindspore": Deployment("mindspore", packages=MINDSPORE),
    "onnx": Deployment("torch", "fp32.onnx", _file("ONNX"), packages=ONNX),
    "onnx-fp16": Deployment("torch", "fp16.onnx", _file("ONNX", "fp16"), packages=ONNX),
    "onnx-int8": Deployment("torch", "int8.onnx", _file("ONNX", "int8"), packages=ONNX),
    "openvino": Deployment("torch", "fp32.onnx", _file("ONNX"), "openvino", OPENVINO),
    "openvino-int8": Deployment("torch", "int8.onnx", _file("ONNX", "int8"), "openvino", OPENVINO),
    "pt2": Deployment("torch", "fp32.pt2", _file("TORCH"), packages=TORCH),
    "mindir": Deployment("mindspore", "fp32.mindir", _file("MINDIR"), packages=MINDSPORE),
}
