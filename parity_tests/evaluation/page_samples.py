"""A made evaluation with hostile names, and its page."""

import json
from dataclasses import replace
from typing import Any

import numpy as np

from segformer_core.config.keys import Config, flat
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.evaluation.metrics import scores
from segformer_core.evaluation.page import Example, page
from segformer_core.evaluation.result import MEANS

HOSTILE = "<b>&\"'</script><script>alert(1)</script><!--"
CLASSES = replace(CITYSCAPES, names=("road", HOSTILE, *CITYSCAPES.names[2:]))
TRAIN, BUS = CLASSES.names.index("train"), CLASSES.names.index("bus")
GREY = 90
LONG_NAME = "a_city_whose_name_has_no_place_to_break_000000_000019_leftImg8bit"


def none_for_nan(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def result_of(counts: np.ndarray, **changes: Any) -> dict[str, Any]:
    """The result of a (19, 19) confusion matrix."""
    judged = scores(counts)
    iou, recall, precision, f1 = map(none_for_nan, (judged.iou, judged.accuracy, judged.precision, judged.f1))
    result = {
        "format": 1,
        **{mean: none_for_nan(np.array([getattr(judged, mean)]))[0] for mean in MEANS},
        "images": 1234,
        "seconds": 34.1,
        "finished": "2026-11-26T03:00:00+00:00",
        "classes": [
            {
                "name": name,
                "iou": iou[index],
                "accuracy": recall[index],
                "precision": precision[index],
                "recall": recall[index],
                "f1": f1[index],
                "truth_pixels": int(counts[index].sum()),
                "predicted_pixels": int(counts[:, index].sum()),
            }
            for index, name in enumerate(CLASSES.names)
        ],
        "absent": [CLASSES.names[index] for index in judged.absent],
        "confusion_matrix": counts.tolist(),
        "image_scores": {"one": 0.1, HOSTILE: 0.52, "three": 0.54, "none": None},
        "weights": {"path": f"runs/{HOSTILE}/best.safetensors", "sha256": "0f" * 32, "network": "mit_b0", "source": HOSTILE},
        "data": {"path": "data/cityscapes", "split": "val"},
        "settings": flat(Config()),
        "versions": {"segformer": "0.1.0", "torch": "2.13.0"},
        "backend": "torch",
        "device": "cpu",
        "precision": "fp32",
    }
    return json.loads(json.dumps(result | changes))


def counts() -> np.ndarray:
    """(19, 19) with shares from nothing to nearly all. Train is absent, and bus is only predicted."""
    rng = np.random.default_rng(0)
    counts = np.floor(10 ** rng.uniform(-1, 4, (19, 19))).astype(np.int64)
    counts[np.diag_indices(19)] += np.arange(19) ** 5 + 1
    counts[[TRAIN, BUS]] = counts[:, TRAIN] = 0
    return counts


RESULT = result_of(counts())


def example(name: str, score: float = 0.5, height: int = 60, width: int = 100) -> Example:
    """A grey image of road only. The lower half is predicted as building, and the lowest tenth is ignored."""
    image = np.full((height, width, 3), GREY, np.uint8)
    truth, prediction = np.zeros((2, height, width), np.uint8)
    prediction[height // 2 :] = 2
    truth[-height // 10 :] = 255
    return Example(name, score, image, truth, prediction)


WORST, BEST = [example(HOSTILE, 0.1), example(LONG_NAME, 0.2)], [example("best", 0.95)]
HTML = page(RESULT, CLASSES, WORST, BEST)


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"
