"""Evaluation with a learner whose answers are known."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests import ROOT
from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.data.dataset import Classes, Dataset, Item
from segformer_core.errors import DataError
from segformer_core.evaluation.evaluate import evaluate
from segformer_core.evaluation.metrics import confusion_matrix, scores
from segformer_core.evaluation.report import evaluation_table
from segformer_core.inference.segmenter import Segmenter, network_image
from segformer_core.protocol.plan import Plan
from segformer_core.spec.model import segformer

CLASSES = Classes(("sky", "road", "car", "tram"), ((9, 9, 9), (99, 9, 99), (0, 0, 99), (0, 99, 0)))
SIZES = ((30, 50), (64, 33), (41, 41), (20, 90), (55, 20))
SPEC = segformer("b0", class_count=4)
DATA = DataConfig(base_size=(32, 64), dataset_num_parallel_workers=2)


class KnownAnswers:
    """A learner that returns the given label maps in order, whatever the image, and records its inputs."""

    def __init__(self, answers: list[np.ndarray]):
        self.answers = answers
        self.inputs: list[tuple[np.ndarray, Plan]] = []
        self.batches: list[int] = []

    def predict(self, images: list[np.ndarray], plan: Plan) -> np.ndarray:
        self.batches.append(len(images[0]))
        self.inputs += [(image, plan) for image in images[0]]
        return np.stack(self.answers[len(self.inputs) - len(images[0]) : len(self.inputs)])


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    rng = np.random.default_rng(0)
    items = []
    for index, size in enumerate(SIZES):
        item = Item(tmp_path / f"{index}.png", tmp_path / f"{index}_label.png", str(index))
        label = rng.integers(0, 3, size).astype(np.uint8)
        label[:4] = 255
        cv2.imwrite(str(item.image), rng.integers(0, 256, (*size, 3)).astype(np.uint8))
        cv2.imwrite(str(item.label), label)
        items.append(item)
    return Dataset(tmp_path, "val", CLASSES, tuple(items))


def truths(dataset: Dataset) -> list[np.ndarray]:
    return [cv2.imread(str(item.label), cv2.IMREAD_UNCHANGED) for item in dataset.items]


def run(dataset: Dataset, answers: list[np.ndarray], workers: int = 2, **keys):
    learner, lines = KnownAnswers(answers), []
    data = DataConfig(base_size=DATA.base_size, dataset_num_parallel_workers=workers)
    evaluation = EvaluationConfig(**{"eval_log_interval": 2} | keys)
    result = evaluate(Segmenter(learner, SPEC, data, evaluation), dataset, lines.append, "b0_12.ckpt")
    return result, learner, lines


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_known_answers_get_their_scores(dataset: Dataset, workers: int) -> None:
    rng = np.random.default_rng(1)
    answers = []
    for truth in truths(dataset):
        answer = np.where(truth == 255, 0, truth).astype(np.uint8)
        answer[rng.random(truth.shape) < 0.3] = 1
        answers.append(answer)
    result, learner, _ = run(dataset, answers, workers=workers)
    everything = np.concatenate([truth.ravel() for truth in truths(dataset)])[None]
    answered = np.concatenate([answer.ravel() for answer in answers])[None]
    np.testing.assert_array_equal(result.counts, confusion_matrix(everything, answered, 4))
    assert result.scores.miou == scores(result.counts).miou
    assert 0.5 < result.scores.miou < 0.9
    assert [plan.size for _, plan in learner.inputs] == list(SIZES)
    for index, (truth, answer) in enumerate(zip(truths(dataset), answers, strict=True)):
        assert result.image_scores[index] == scores(confusion_matrix(truth, answer, 4)).miou


@pytest.mark.parametrize(("batch_size", "batches"), [(1, [1] * 6), (2, [2, 1, 2, 1]), (8, [2, 1, 3])])
def test_images_of_one_size_go_through_the_network_together(dataset: Dataset, batch_size: int, batches: list[int]) -> None:
    item = dataset.items
    dataset = replace(dataset, items=(item[0], item[0], item[1], item[2], item[2], item[2]))
    answers = [truth % 255 for truth in truths(dataset)]
    result, learner, _ = run(dataset, answers, eval_batch_size=batch_size)
    assert learner.batches == batches
    assert result.scores.miou == 1.0 and (result.image_scores == 1.0).all()


def test_perfect_answers_score_one_although_a_class_is_absent(dataset: Dataset) -> None:
    result, _, lines = run(dataset, [truth % 255 for truth in truths(dataset)])
    assert (result.scores.miou, result.scores.macc, result.scores.aacc) == (1.0, 1.0, 1.0)
    assert result.scores.absent == (3,)
    assert "===> class: tram, IoU: absent" in lines[-1]
    assert "===> 1 of 4 classes absent, left out of the means" in lines[-1]


def test_the_network_sees_the_fitted_normalised_image(dataset: Dataset) -> None:
    _, learner, _ = run(dataset, [truth % 255 for truth in truths(dataset)])
    for item, (image, plan) in zip(dataset.items, learner.inputs, strict=True):
        rgb = cv2.imread(str(item.image))[..., ::-1]
        np.testing.assert_array_equal(image, network_image(np.ascontiguousarray(rgb), plan.views[0], DATA))
    assert [image.shape for image, _ in learner.inputs] == [
        (3, 32, 53), (3, 62, 32), (3, 32, 32), (3, 32, 64), (3, 64, 32)
    ]  # fmt: skip


def test_progress_is_logged_in_the_original_repositorys_words(dataset: Dataset) -> None:
    _, _, lines = run(dataset, [truth % 255 for truth in truths(dataset)])
    assert lines[0] == "eval dataset size:5"
    assert len(lines) == 5
    for line, count in zip(lines[1:4], (2, 4, 5), strict=True):
        assert re.fullmatch(rf"eval image {count}/5 done, step cost: [\d.]+ms", line)


def test_all_ignored_gives_nan_and_says_so(dataset: Dataset) -> None:
    for item in dataset.items:
        cv2.imwrite(str(item.label), np.full_like(cv2.imread(str(item.label), 0), 255))
    result, _, lines = run(dataset, [np.zeros(size, np.uint8) for size in SIZES])
    assert np.isnan(result.scores.miou)
    assert "nothing to score: every pixel of the truth is ignored" in lines[-1]


def test_a_bad_label_stops_the_evaluation_with_its_name(dataset: Dataset) -> None:
    cv2.imwrite(str(dataset.items[3].label), np.full(SIZES[3], 77, np.uint8))
    with pytest.raises(DataError, match=r"3_label\.png has label 77"):
        run(dataset, [truth % 255 for truth in truths(dataset)])


def test_the_table_is_the_original_repositorys_with_accuracies_rightly_named() -> None:
    table = evaluation_table(scores(np.array([[3, 1], [0, 4]])), ("road", "traffic light"), "mit_b1_12.ckpt")
    assert table.splitlines() == [
        "====================== Evaluation Result ======================",
        "===> class: road, IoU: 0.75, precision: 1.0000, recall: 0.7500, F1: 0.8571",
        "===> class: traffic light, IoU: 0.8, precision: 0.8000, recall: 1.0000, F1: 0.8889",
        "===> mAcc (mean class accuracy): 0.875",
        "===> aAcc (pixel accuracy): 0.875",
        "===> mF1 (mean Dice): 0.873015873015873",
        "===============================================================",
        "===> mIoU: 0.775, ckpt: mit_b1_12.ckpt",
        "===============================================================",
    ]


def test_a_class_that_is_only_predicted_or_only_missed_has_no_recall_or_no_precision() -> None:
    table = evaluation_table(scores(np.array([[3, 0, 1], [2, 0, 0], [0, 0, 0]])), ("road", "pole", "car"), "x")
    assert "===> class: pole, IoU: 0.0, precision: none, recall: 0.0000, F1: 0.0000\n" in table
    assert "===> class: car, IoU: 0.0, precision: 0.0000, recall: none, F1: 0.0000\n" in table


def test_mean_and_pixel_accuracy_are_not_mixed_up() -> None:
    table = evaluation_table(scores(np.array([[90, 0], [5, 5]])), ("road", "pole"), "x")
    assert "===> mAcc (mean class accuracy): 0.75\n===> aAcc (pixel accuracy): 0.95\n" in table


def test_memory_does_not_grow_with_the_images(dataset: Dataset) -> None:
    """A hundred more images, each 8 MB as network input, raise the peak by a few per cent at most."""
    program = """
import resource, sys
import numpy as np
from pathlib import Path
from parity_tests.evaluation.test_evaluation import (
    CLASSES, SPEC, Dataset, EvaluationConfig, DataConfig, Item, Segmenter, evaluate
)
class Sky:
    def predict(self, images, plan): return np.zeros((len(images[0]), *plan.size), np.uint8)
item = Item(Path(sys.argv[1], "big.png"), Path(sys.argv[1], "big_label.png"), "big")
segmenter = Segmenter(Sky(), SPEC, DataConfig(base_size=(512, 1024), dataset_num_parallel_workers=2), EvaluationConfig())
evaluate(segmenter, Dataset(Path(), "val", CLASSES, (item,) * int(sys.argv[2])), lambda line: None, "")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    cv2.imwrite(str(dataset.root / "big.png"), np.random.default_rng(0).integers(0, 256, (512, 1024, 3)).astype(np.uint8))
    cv2.imwrite(str(dataset.root / "big_label.png"), np.zeros((512, 1024), np.uint8))
    command = [sys.executable, "-c", program, str(dataset.root)]
    few, many = (int(subprocess.check_output([*command, str(count)], cwd=ROOT)) for count in (20, 120))
    assert many < 1.1 * few
