"""A network that labels the left half of every image 0 and the right half 1, and what inference needs besides."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from segformer_core.config.keys import Config, DataConfig, EvaluationConfig, RuntimeConfig
from segformer_core.data.dataset import Classes
from segformer_core.inference.segmenter import Segmenter
from segformer_core.protocol.bands import Arrays, Read, Span, bands, in_bands
from segformer_core.protocol.learner import Backend, Precision
from segformer_core.protocol.plan import Plan
from segformer_core.spec.model import SegFormer, segformer

CLASSES = Classes(("left", "right"), ((250, 10, 20), (30, 40, 240)))
DESCRIPTION = "classes:\n  - {name: left, colour: [250, 10, 20]}\n  - {name: right, colour: [30, 40, 240]}\n"
SPEC = segformer("b0", class_count=2)
CONFIDENCES = (0.6, 0.8)
"""The probability of the left half's class there, and of the right half's."""


class Halves:
    """The predictor; `calls` counts batches."""

    calls = 0

    def predict(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        self.calls += 1
        for batch, view in zip(images, plan.views, strict=True):
            assert batch.dtype == np.float32 and batch.shape[1:] == (3, *view.size)
        return np.stack([halves(plan.size)] * len(images[0]))

    def bands(self, read: Read, plan: Plan, confidences: bool = False) -> Iterator[tuple[int, Arrays]]:
        """As `Predictor.bands`, by its rows of windows."""
        for band in bands(plan.views[0]) if in_bands(plan) else [Span(0, plan.size[0], (0,))]:
            for index, view in enumerate(plan.views):
                assert read(index, band.first, 0).shape == (1, 3, *view.crop)
            labels = halves(plan.size)[None, band.first : band.end]
            yield band.first, (labels, np.array(CONFIDENCES, np.float32)[labels]) if confidences else (labels,)

    def labels_and_confidences(self, images: Sequence[np.ndarray], plan: Plan) -> tuple[np.ndarray, np.ndarray]:
        labels = self.predict(images, plan)
        return labels, np.array(CONFIDENCES, np.float32)[labels]

    def probabilities(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        labels, confidences = self.labels_and_confidences(images, plan)
        return np.stack([np.where(labels == index, confidences, 1 - confidences) for index in range(2)], 1)

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        assert len(arrays) > 100


def halves(size: tuple[int, int]) -> np.ndarray:
    """(*size) uint8: the labels that the network gives to an image of that size."""
    return np.repeat((np.arange(size[1]) >= size[1] // 2)[None], size[0], 0).astype(np.uint8)


class Terminal(io.StringIO):
    """A stream that is shown to somebody."""

    def isatty(self) -> bool:
        return True


def segmenter(predictor: Halves, workers: int = 2, batch_size: int = 1, threshold: float = 0.0) -> Segmenter:
    data = DataConfig(base_size=(32, 64), dataset_num_parallel_workers=workers)
    return Segmenter(predictor, SPEC, data, EvaluationConfig(eval_batch_size=batch_size), threshold=threshold)


def connect(runtime: RuntimeConfig) -> Backend:
    """A backend for commands whose network this is."""

    def learner(spec: SegFormer, config: Config, log: object, training: object = None, fused: bool = True) -> Any:
        return Halves()

    exports: Any = None
    return Backend("halves", "cpu", Precision(), learner, lambda stream, workers, first: iter(()), exports)
