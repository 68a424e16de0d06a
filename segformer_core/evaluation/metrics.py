"""Confusion matrices, and scores computed from them alone, so that sums over images or devices are exact."""

from dataclasses import dataclass

import numpy as np

from segformer_core.data.dataset import IGNORED
from segformer_core.data.histogram import pair_histogram

NEAR_TIE = 1e-4
"""If a pixel's two best scores differ by less than this, rounding decides its label, and either label is right."""


def near_ties(scores: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """(B, K, H, W) float -> (B, H, W) bool: whether a pixel's two best scores differ by less than NEAR_TIE times `scale`."""
    if scores.shape[1] == 1:
        return np.zeros(scores[:, 0].shape, bool)
    second, best = np.moveaxis(np.partition(scores, -2, axis=1)[:, -2:], 1, 0)
    return best - second < NEAR_TIE * scale


@dataclass(frozen=True)
class Scores:
    """Figures of each class, (K,) float64 in 0..1; NaN, and left out of the means, where a class cannot be scored.

    iou         intersection over union
    accuracy    share of the class's pixels that are found: its recall, and the class accuracy of other code bases
    precision   share of the pixels predicted as the class that are right
    f1          harmonic mean of precision and recall, which is the Dice coefficient
    miou        mean of iou
    macc        mean of accuracy, the mean class accuracy
    mprecision  mean of precision
    mf1         mean of f1, the mean Dice coefficient
    aacc        share of all counted pixels that are right, the pixel accuracy
    """

    iou: np.ndarray
    accuracy: np.ndarray
    precision: np.ndarray
    f1: np.ndarray
    miou: float
    macc: float
    mprecision: float
    mf1: float
    aacc: float

    @property
    def absent(self) -> tuple[int, ...]:
        """The indices of the classes that are neither in the truth nor in the prediction."""
        return tuple(np.flatnonzero(np.isnan(self.iou)).tolist())


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, class_count: int) -> np.ndarray:
    """(H, W) uint8 labels -> (K, K) int64 counts, rows the truth, columns the prediction.

    Pixels whose truth is 255 are left out. Raises ValueError for unequal sizes and for labels outside the classes.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}; expected equal sizes")
    counted = pair_histogram(truth, prediction)[:IGNORED]
    counts = counted[:class_count, :class_count]
    if counts.sum() != counted.sum():
        raise ValueError(f"a label is not among the {class_count} classes")
    return counts


def scores(counts: np.ndarray) -> Scores:
    """Scores of a (K, K) confusion matrix.

    A class that is neither in the truth nor in the prediction is left out of the means. A class that is only in the
    prediction counts as 0 in miou and mf1 and is left out of macc; one that is only in the truth is left out of mprecision.
    If no pixel is counted, every mean is NaN.
    """
    right, truth, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    iou, f1 = _ratio(right, truth + predicted - right), _ratio(2 * right, truth + predicted)
    accuracy, precision = _ratio(right, truth), _ratio(right, predicted)
    means = _mean(iou), _mean(accuracy), _mean(precision), _mean(f1)
    return Scores(iou, accuracy, precision, f1, *means, _ratio(right.sum(), truth.sum()).item())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if numbers.size else float("nan")
