"""Confusion matrices, and the scores that follow from them alone: sums over images or devices are exact."""

from dataclasses import dataclass

import numpy as np

from segformer_core.data.dataset import IGNORED

NEAR_TIE = 1e-4
"""Where the two best scores of a pixel are nearer to each other than this, rounding decides: either label is right."""


def near_ties(scores: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """(B, K, H, W) float -> (B, H, W) bool: whether a pixel's two best scores differ by less than NEAR_TIE times `scale`."""
    if scores.shape[1] == 1:
        return np.zeros(scores[:, 0].shape, bool)
    second, best = np.moveaxis(np.partition(scores, -2, axis=1)[:, -2:], 1, 0)
    return best - second < NEAR_TIE * scale


@dataclass(frozen=True)
class Scores:
    """iou and accuracy by class, (K,) float64 in 0..1; NaN, and not in the means, where nothing is to judge.

    miou  mean of iou, the mean intersection over union
    macc  mean of accuracy, the mean class accuracy
    aacc  share of all counted pixels that are right, the pixel accuracy
    """

    iou: np.ndarray
    accuracy: np.ndarray
    miou: float
    macc: float
    aacc: float

    @property
    def absent(self) -> tuple[int, ...]:
        """The classes that neither truth nor prediction has."""
        return tuple(np.flatnonzero(np.isnan(self.iou)).tolist())


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, class_count: int) -> np.ndarray:
    """(H, W) uint8 labels -> (K, K) int64 counts, rows the truth, columns the prediction.

    Pixels whose truth is 255 are left out. Raises ValueError for unequal sizes and labels beyond the classes.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}")
    pairs = np.bincount((truth.astype(np.uint16) << 8 | prediction).ravel(), minlength=1 << 16)
    counted = pairs.reshape(256, 256)[:IGNORED]
    counts = counted[:class_count, :class_count].astype(np.int64)
    if counts.sum() != counted.sum():
        raise ValueError(f"a label is not among the {class_count} classes")
    return counts


def scores(counts: np.ndarray) -> Scores:
    """Scores of a (K, K) confusion matrix.

    A class that neither truth nor prediction has is left out of miou; one that only the prediction has is 0
    there and left out of macc. With nothing counted at all every mean is NaN.
    """
    right, truth, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    iou, accuracy = _ratio(right, truth + predicted - right), _ratio(right, truth)
    return Scores(iou, accuracy, _mean(iou), _mean(accuracy), _ratio(right.sum(), truth.sum()).item())


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
