"""The weight of each class in the loss."""

from collections.abc import Sequence

import numpy as np

from segformer_core.data.ahead import prefetch
from segformer_core.data.dataset import IGNORED, Dataset, Item, read_label
from segformer_core.data.histogram import histogram
from segformer_core.errors import ConfigError, brief

CITYSCAPES = (
    *(0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023),
    *(0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507),
)
"""The weights in mmsegmentation's and HRNet's Cityscapes recipes."""

SMOOTHING = 1.02


def class_weights(text: str, dataset: Dataset, workers: int) -> tuple[float, ...] | None:
    """`none`, `cityscapes`, `auto` or a list of numbers -> a weight per class; None if all classes weigh the same.

    `auto` reads every label of the dataset. Raises ConfigError, DataError.
    """
    count = len(dataset.classes)
    match text.strip().lower():
        case "none" | "":
            return None
        case "cityscapes":
            weights: Sequence[float] = CITYSCAPES
        case "auto":
            return frequency_weights(pixel_counts(dataset, workers))
        case _:
            try:
                weights = [float(word) for word in text.strip("[]() ").split(",")]
            except ValueError:
                raise ConfigError(
                    f"class_weights is {brief(text)}; expected none, cityscapes, auto or a list of numbers"
                ) from None
    if len(weights) != count:
        raise ConfigError(f"class_weights has {len(weights)} weights and the data {count} classes; expected one per class")
    if not all(0 <= weight < float("inf") for weight in weights) or not any(weights):
        raise ConfigError(f"class_weights is {brief(text)}; expected finite numbers from 0 on, not all 0")
    return tuple(weights)


def pixel_counts(dataset: Dataset, workers: int) -> np.ndarray:
    """(K,) int64: how many pixels of the dataset's labels each class has."""

    def count(item: Item) -> np.ndarray:
        assert item.label is not None
        return histogram(read_label(item.label, dataset.classes))

    total = sum(prefetch(count, dataset.items, workers), np.zeros(IGNORED + 1, np.int64))
    return total[: len(dataset.classes)]


def frequency_weights(counts: np.ndarray) -> tuple[float, ...]:
    """1 / log(1.02 + share of the pixels), as in ENet (arXiv 1606.02147), scaled to a mean of 1 over the classes that occur."""
    weights = 1.0 / np.log(SMOOTHING + counts / max(counts.sum(), 1))
    return tuple((weights / weights[counts > 0].mean() if counts.any() else np.ones(len(counts))).tolist())
