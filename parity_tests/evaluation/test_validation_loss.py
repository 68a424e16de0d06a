"""The loss that an evaluation measures: the mean of -log p over the counted pixels, of what the labels are the arg-max of."""

import math

import numpy as np
import pytest

from parity_tests.ascend.ascend_graphs import small_network
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import LEARNERS, random_images, undecided_arrays
from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.data.dataset import IGNORED, read_pair
from segformer_core.data.layout import open_dataset
from segformer_core.evaluation.evaluate import evaluate
from segformer_core.inference.segmenter import Segmenter
from segformer_core.protocol.plan import Plan, View, make_plan
from segformer_core.spec.model import segformer

SPEC = small_network()
SIZE = (64, 96)
PLANS = {
    "whole": EvaluationConfig(),
    "flipped, two scales": EvaluationConfig(eval_flip=True, eval_scales=(0.5, 1.0)),
    "windows": EvaluationConfig(eval_mode="slide", eval_crop_size=(64, 64), eval_stride=(32, 32)),
}


def negative_log_likelihood(scores: np.ndarray, truth: np.ndarray, are_probabilities: bool) -> np.ndarray:
    """In float64, from the definition: (B, K, H, W) and (B, H, W) -> (B,) sums."""
    scores = scores.astype(np.float64)
    p = scores if are_probabilities else np.exp(scores - scores.max(1, keepdims=True))
    p = p / p.sum(1, keepdims=True)
    counted = truth != IGNORED
    true = np.take_along_axis(p, np.where(counted, truth, 0)[:, None], 1)[:, 0]
    return np.where(counted, -np.log(true), 0).sum((1, 2))


@pytest.mark.parametrize("backend", LEARNERS)
@pytest.mark.parametrize("case", PLANS)
def test_losses_are_those_of_the_scores(backend, case, request):
    request.getfixturevalue(f"need_{backend}")
    learner = LEARNERS[backend](SPEC, undecided_arrays(SPEC))
    plan = make_plan((50, 70), DataConfig(base_size=SIZE), PLANS[case])
    images = [random_images(2, *view.size, seed=3) for view in plan.views]
    truth = np.random.default_rng(0).integers(0, SPEC.class_count, (2, 50, 70)).astype(np.int32)
    truth[0, :10], truth[1] = IGNORED, IGNORED
    labels, losses = learner.labels_and_losses(images, plan, truth)
    assert np.array_equal(labels, learner.predict(images, plan))
    want = negative_log_likelihood(learner.scores(images, plan), truth, plan.averages)
    assert losses.dtype == np.float64 and losses == pytest.approx(want, rel=1e-6)
    assert losses[1] == 0 and want[0] > 100


@pytest.mark.parametrize("backend", LEARNERS)
def test_a_class_without_probability_has_a_finite_loss(backend, request):
    """-log 1e-30 is 69.08."""
    request.getfixturevalue(f"need_{backend}")
    learner = LEARNERS[backend](SPEC, undecided_arrays(SPEC))
    learner.prediction.scores = lambda images, plan: as_tensor(backend, np.array([2.0, 0.0], np.float32).reshape(1, 2, 1, 1))
    plan = Plan((1, 1), (View((1, 1), (1, 1)),) * 2)
    assert plan.averages
    assert learner.labels_and_losses([], plan, np.ones((1, 1, 1), np.int32))[1] == pytest.approx(
        [69.0776 + math.log(2)], rel=1e-5
    )


def as_tensor(backend: str, array: np.ndarray):
    if backend == "torch":
        import torch

        return torch.from_numpy(array)
    import mindspore

    return mindspore.Tensor(array)


@pytest.mark.parametrize("batch", [1, 2])
def test_an_evaluation_gives_the_mean_over_all_images(batch, tmp_path, need_torch):
    spec = segformer("b0", class_count=3)
    root = write_folder_dataset(tmp_path, images=3, size=SIZE)
    dataset, data = open_dataset(str(root), "train"), DataConfig(base_size=SIZE)
    learner = LEARNERS["torch"](spec, undecided_arrays(spec))
    segmenter = Segmenter(learner, spec, data, EvaluationConfig(eval_batch_size=batch))
    found = evaluate(segmenter, dataset, lambda _: None, "x", measure=learner.labels_and_losses)
    plain = evaluate(segmenter, dataset, lambda _: None, "x")
    assert np.array_equal(found.counts, plain.counts) and math.isnan(plain.loss)
    total = 0.0
    for item in dataset.items:
        image, truth = read_pair(item, dataset.classes)
        prepared = segmenter.prepare(image)
        scores = learner.scores([view[None] for view in prepared.images], prepared.plan)
        total += negative_log_likelihood(scores, truth[None].astype(np.int32), prepared.plan.averages).sum()
    assert found.loss == pytest.approx(total / found.counts.sum(), rel=1e-6)
