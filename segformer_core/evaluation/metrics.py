"""Confusion matrices and the scores that follow from them: pure functions of counts, so sums over images are exact."""

from dataclasses import dataclass

import numpy as np

from segformer_core.data.dataset import IGNORED


@dataclass(frozen=True)
class Scores:
    """iou and accuracy by class, (K,) float64 in 0..1, NaN for a class with nothing to judge; the means leave those out.

    miou  mean of iou                         mean intersection over union
    macc  mean of accuracy                    mean class accuracy
    aacc  share of all counted pixels         pixel accuracy
    """

    iou: np.ndarray
    accuracy: np.ndarray
    miou: float
    macc: float
    aacc: float


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """(H, W) uint8 labels -> (K, K) int64 counts: rows are the truth, columns the prediction; pixels with truth 255 are left out."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}")
    pairs = np.bincount((truth.astype(np.uint16) << 8 | prediction).ravel(), minlength=1 << 16).reshape(256, 256)
    counted = pairs[:IGNORED]
    counts = counted[:classes, :classes]
    if counts.sum() != counted.sum():
        raise ValueError(f"a label is not among the {classes} classes")
    return counts.astype(np.int64)


def scores(counts: np.ndarray) -> Scores:
    """Scores of a (K, K) confusion matrix.

    A class that neither truth nor prediction has is left out of the mIoU; one that the truth does not have, of the accuracy.
    Nothing counted at all gives NaN means.
    """
    hit, truth, predicted = np.diag(counts).astype(np.float64), counts.sum(1), counts.sum(0)
    iou, accuracy = _ratio(hit, truth + predicted - hit), _ratio(hit, truth)
    return Scores(iou, accuracy, _mean(iou), _mean(accuracy), float(_ratio(hit.sum(), counts.sum())))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
