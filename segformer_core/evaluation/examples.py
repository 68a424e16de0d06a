"""Chooses the worst and the best images of an evaluation for the report page."""

import numpy as np

from segformer_core.data.dataset import Dataset, read_pair
from segformer_core.data.display import shown
from segformer_core.evaluation.evaluate import Evaluation
from segformer_core.evaluation.page import Example
from segformer_core.inference.segmenter import Segmenter

SHOWN = 6
"""The largest number of worst images, and of best images."""


def worst_and_best(segmenter: Segmenter, dataset: Dataset, evaluation: Evaluation) -> tuple[list[Example], list[Example]]:
    """The images with the lowest mIoU, lowest first, and those with the highest, highest first. Raises DataError.

    The network labels them once more.
    """
    ranked = [index for index in np.argsort(evaluation.image_scores).tolist() if not np.isnan(evaluation.image_scores[index])]
    worst, best = ranked[:SHOWN], ranked[SHOWN:][-SHOWN:][::-1]

    def example(index: int) -> Example:
        image, truth = read_pair(dataset.items[index], dataset.classes, segmenter.form)
        score = float(evaluation.image_scores[index])
        return Example(dataset.items[index].name, score, shown(image), truth, segmenter.label([segmenter.prepare(image)])[0])

    return [example(index) for index in worst], [example(index) for index in best]
