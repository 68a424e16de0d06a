"""Evaluation of a learner on a dataset: whole images, labels at their own size, a few images in memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from segformer_core.config import DataConfig, EvaluationConfig
from segformer_core.data.dataset import Dataset, Item, read_pair
from segformer_core.data.pipeline import network_image, prefetch
from segformer_core.evaluation.metrics import Scores, confusion_matrix, scores
from segformer_core.evaluation.report import evaluation_table
from segformer_core.learner import ALONE, Learner, Processes


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
    checkpoint_name: str,
    processes: Processes = ALONE,
) -> Evaluation:
    """Score all items of `dataset`, shared out over the processes; log progress, then the table with `checkpoint_name`.

    Raises DataError.
    """

    def read(item: Item) -> tuple[np.ndarray, np.ndarray]:
        image, truth = read_pair(item, dataset.classes)
        return network_image(image, data), truth

    class_count = len(dataset.classes)
    counts = np.zeros((class_count, class_count), np.int64)
    log(f"eval dataset size:{len(dataset)}")
    since, logged = time.perf_counter(), 0
    items = dataset.items[processes.rank :: processes.count]
    samples = prefetch(read, items, data.dataset_num_parallel_workers)
    for done, (image, truth) in enumerate(samples, start=1):
        counts += confusion_matrix(truth, learner.predict(image, *truth.shape), class_count)
        if done % evaluation.eval_log_interval == 0 or done == len(items):
            now = time.perf_counter()
            cost = (now - since) / (done - logged)
            since, logged = now, done
            log(f"eval image {min(done * processes.count, len(dataset))}/{len(dataset)} done, step cost: {cost * 1000:.0f}ms")
    counts = processes.all_reduce(counts)
    result = Evaluation(counts, scores(counts))
    log(evaluation_table(result.scores, dataset.classes.names, checkpoint_name))
    return result
