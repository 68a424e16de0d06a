"""Evaluation of a learner on a dataset: whole images, labels at their own resolution, one image in memory at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from segformer_core.config import DataConfig, EvaluationConfig
from segformer_core.data.dataset import Dataset, Item, read_pair
from segformer_core.data.pipeline import network_image, prefetch
from segformer_core.evaluation.metrics import Scores, confusion_matrix, scores
from segformer_core.evaluation.report import evaluation_table
from segformer_core.learner import Learner


@dataclass(frozen=True)
class Evaluation:
    """(K, K) int64 confusion matrix, and the scores that follow from it."""

    counts: np.ndarray
    scores: Scores


def evaluate(
    learner: Learner,
    dataset: Dataset,
    data: DataConfig,
    evaluation: EvaluationConfig,
    log: Callable[[str], None],
    checkpoint: str,
) -> Evaluation:
    """Score every item of `dataset`; prints progress and the table, under the name `checkpoint`. Raises DataError."""

    def read(item: Item) -> tuple[np.ndarray, np.ndarray]:
        image, truth = read_pair(item, dataset.classes)
        return network_image(image, data), truth

    counts = np.zeros((len(dataset.classes),) * 2, np.int64)
    log(f"eval dataset size:{len(dataset)}")
    since = time.perf_counter()
    for done, (image, truth) in enumerate(prefetch(read, dataset.items, data.dataset_num_parallel_workers), start=1):
        counts += confusion_matrix(truth, learner.predict(image, *truth.shape), len(dataset.classes))
        if done % evaluation.eval_log_interval == 0 or done == len(dataset):
            now = time.perf_counter()
            steps = (done - 1) % evaluation.eval_log_interval + 1
            log(f"eval image {done}/{len(dataset)} done, step cost: {(now - since) / steps * 1000:.0f}ms")
            since = now
    result = Evaluation(counts, scores(counts))
    log(evaluation_table(result.scores, dataset.classes.names, checkpoint))
    return result
