"""The result of an evaluation as one JSON object, so that a program can compare two results."""

import math
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np

import segformer_core
from segformer_core.config.keys import Config, flat
from segformer_core.data.dataset import Dataset
from segformer_core.evaluation.evaluate import Evaluation
from segformer_core.protocol.learner import Backend

MEANS = ("miou", "macc", "mprecision", "mf1", "aacc")
RESULT_VERSION = 1
"""Increase it when a program that reads older files would misread a newer one."""


def result(
    evaluation: Evaluation, dataset: Dataset, config: Config, weights: Mapping[str, str], backend: Backend, finished: datetime
) -> dict[str, Any]:
    """Every figure, every setting, the weights' hash and the versions. Scores are 0..1, or None where nothing can be scored."""
    scores, counts = evaluation.scores, evaluation.counts
    pixels = counts.sum(1).tolist(), counts.sum(0).tolist()
    figures = (scores.iou, scores.accuracy, scores.precision, scores.accuracy, scores.f1)
    columns = (dataset.classes.names, *map(_none_for_nan, figures), *pixels)
    keys = ("name", "iou", "accuracy", "precision", "recall", "f1", "truth_pixels", "predicted_pixels")
    names = [item.name for item in dataset.items]
    return {
        "format": RESULT_VERSION,
        **{mean: _none_for_nan([getattr(scores, mean)])[0] for mean in MEANS},
        "images": len(dataset),
        "seconds": round(evaluation.seconds, 3),
        "finished": finished.isoformat(timespec="seconds"),
        "classes": [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)],
        "absent": [dataset.classes.names[index] for index in scores.absent],
        "confusion_matrix": counts.tolist(),
        "image_scores": dict(zip(names, _none_for_nan(evaluation.image_scores), strict=True)),
        "weights": dict(weights),
        "data": {"path": str(dataset.root), "split": dataset.split},
        "settings": flat(config),
        "versions": {
            "segformer": segformer_core.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            backend.name: version(backend.name),
        },
        "backend": backend.name,
        "device": backend.device,
        "precision": backend.precision.inference,
    }


def _none_for_nan(values: Sequence[float] | np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else float(value) for value in values]
