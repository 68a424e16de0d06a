"""Of many classes' probabilities the largest alone."""

import numpy as np


def likeliest(probabilities: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(K, H, W) float32 -> (count, H, W) uint8 classes, and float32 their probabilities: each pixel's largest first.

    Of equal ones the first class goes first. No second array of all classes is made.
    """
    shape = count, *probabilities.shape[1:]
    classes, largest = np.empty(shape, np.uint8), np.empty(shape, np.float32)
    for row in range(shape[1]):
        rest = probabilities[:, row].copy()
        for place in range(count):
            best = rest.argmax(0)[None]
            classes[place, row], largest[place, row] = best[0], np.take_along_axis(rest, best, 0)[0]
            np.put_along_axis(rest, best, -1, 0)
    return classes, largest
