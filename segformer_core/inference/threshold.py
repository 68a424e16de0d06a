"""The rule of `infer_threshold`: what becomes of a label of which the network is not sure enough."""

import numpy as np

from segformer_core.data.dataset import IGNORED

FOREGROUND = 1
"""Of two classes the one that the threshold decides on; the other is the background."""


def thresholded(labels: np.ndarray, confidence: np.ndarray, threshold: float, class_count: int) -> np.ndarray:
    """uint8 labels and their float32 probabilities, of one shape -> uint8 labels; a threshold of 0 changes nothing.

    A label whose probability is below the threshold becomes 255, the ignored value. Of two classes none does: a pixel is of
    class 1 where the probability of class 1 is at least the threshold, else of class 0.
    """
    if not threshold:
        return labels
    least = np.float32(threshold)
    if class_count == 2:
        return (np.where(labels == FOREGROUND, confidence, 1 - confidence) >= least).astype(np.uint8)
    return np.where(confidence >= least, labels, np.uint8(IGNORED))
