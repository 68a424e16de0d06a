"""Evaluates a network on a dataset. Labels keep their own size, few images are in memory, and the processes share the images."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeVar

import numpy as np

from segformer_core.data.ahead import prefetch
from segformer_core.data.dataset import Dataset, Item, read_pair
from segformer_core.data.image_file import read_image
from segformer_core.evaluation.metrics import Scores, confusion_matrix, scores
from segformer_core.evaluation.report import evaluation_table
from segformer_core.inference.segmenter import Prepared, Segmenter
from segformer_core.interrupt import CutShort
from segformer_core.pace import Pace, rounded
from segformer_core.protocol.learner import ALONE, Processes
from segformer_core.protocol.plan import Plan

R = TypeVar("R")
V = TypeVar("V")


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    counts        (K, K) int64, the confusion matrix
    scores        computed from counts
    image_scores  (N,) float64, each image's mIoU; NaN where all of the image is ignored
    loss          mean of -log p of the true class over the counted pixels; NaN where it was not measured
    """

    counts: np.ndarray
    scores: Scores
    image_scores: np.ndarray
    seconds: float
    loss: float = math.nan


Keep = Callable[[Item, np.ndarray], object]
"""Is called with every item of this process and its (H, W) uint8 label map, from several threads."""


def forget(item: Item, labels: np.ndarray) -> None:
    """Keep nothing: for an evaluation that needs only the scores."""


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    log: Callable[[str], None],
    checkpoint_name: str,
    processes: Processes = ALONE,
    keep: Keep = forget,
    asked: Callable[[], int] = lambda: 0,
    measure: Callable[[Sequence[np.ndarray], Plan, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
) -> Evaluation:
    """Score all items of `dataset`; log progress, then the table with `checkpoint_name`.

    When `asked` gives anything but 0 in one of the processes, that process stops at its next image; all of them then raise
    CutShort. `measure` is `Learner.labels_and_losses` where the loss is to be measured as well. Raises UserError.
    """
    class_count = len(dataset.classes)
    counts, image_scores = np.zeros((class_count, class_count), np.int64), np.zeros(len(dataset))
    losses = np.zeros(1)

    def read(index: int) -> tuple[np.ndarray, np.ndarray]:
        return read_pair(dataset.items[index], dataset.classes, segmenter.form)

    def judge(labelled: tuple[int, np.ndarray, np.ndarray]) -> tuple[int, np.ndarray]:
        index, truth, labels = labelled
        keep(dataset.items[index], labels)
        return index, confusion_matrix(truth, labels, class_count)

    def measured(batch: Sequence[Prepared], truths: Sequence[np.ndarray]) -> np.ndarray:
        def predict(images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
            assert measure
            labels, sums = measure(images, plan, np.stack(truths).astype(np.int32))
            losses[0] += sums.sum()
            return labels

        return segmenter.label(batch, predict)

    start = time.perf_counter()
    share = _share(segmenter, dataset, log, processes, read, judge, asked, measured if measure else None)
    for index, image_counts in share:
        counts += image_counts
        image_scores[index] = scores(image_counts).miou
    if processes.all_reduce(np.array([asked()])).any():
        raise CutShort
    counts, image_scores = processes.all_reduce(counts), processes.all_reduce(image_scores)
    loss = float(processes.all_reduce(losses)[0]) / counts.sum() if measure and counts.any() else math.nan
    result = Evaluation(counts, scores(counts), image_scores, time.perf_counter() - start, loss)
    log(evaluation_table(result.scores, dataset.classes.names, checkpoint_name))
    return result


def label(segmenter: Segmenter, dataset: Dataset, log: Callable[[str], None], processes: Processes, keep: Keep) -> None:
    """Label all items of a dataset that has no labels; log progress. Raises UserError."""

    def read(index: int) -> tuple[np.ndarray, None]:
        return read_image(dataset.items[index].image, segmenter.form), None

    for _ in _share(segmenter, dataset, log, processes, read, lambda labelled: keep(dataset.items[labelled[0]], labelled[2])):
        pass
    processes.all_reduce(np.zeros(1))  # wait until the last process has finished
    log("nothing is scored: only the benchmark's server has the test labels")


def _share(
    segmenter: Segmenter,
    dataset: Dataset,
    log: Callable[[str], None],
    processes: Processes,
    read: Callable[[int], tuple[np.ndarray, R]],
    judge: Callable[[tuple[int, R, np.ndarray]], V],
    asked: Callable[[], int] = lambda: 0,
    label: Callable[[Sequence[Prepared], Sequence[R]], np.ndarray] | None = None,
) -> Iterator[V]:
    """Yield `judge((index, companion, labels))` for each item of this process, until `asked` gives anything but 0.

    `read` returns an item's image and its companion; `judge` runs in threads.
    """
    log(f"eval dataset size:{len(dataset)}")
    share = range(processes.rank, len(dataset), processes.count)
    pace = Pace(segmenter.evaluation.eval_log_interval, len(share))
    labelled = takewhile(lambda _: not asked(), segmenter.run(share, read, label=label))
    judged = prefetch(judge, labelled, segmenter.data.dataset_num_parallel_workers)
    for count, verdict in enumerate(judged, start=1):
        yield verdict
        if (milliseconds := pace(count)) is not None:
            done = f"{min(count * processes.count, len(dataset))}/{len(dataset)}"
            log(f"eval image {done} done, step cost: {rounded(milliseconds)}ms")
