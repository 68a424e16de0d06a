"""How sure a network is: the probabilities of the classes, from the scores by hand, alike in both frameworks."""

from functools import cache

import cv2
import numpy as np
import pytest

from parity_tests.ascend.ascend_graphs import small_network
from parity_tests.support import LEARNERS, assert_close, check_control, difference, random_images, undecided_arrays
from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.protocol.plan import Plan, View, make_plan

SPEC = small_network()
BASE, SIZE = (64, 96), (50, 70)
WINDOWS = {"eval_mode": "slide", "eval_crop_size": (64, 64), "eval_stride": (32, 16)}
PLANS = {
    "whole": EvaluationConfig(),
    "windows": EvaluationConfig(**WINDOWS),
    "mirrored": EvaluationConfig(eval_flip=True),
    "windows, two scales, mirrored": EvaluationConfig(**WINDOWS, eval_scales=(0.5, 1.0), eval_flip=True),
}


def planned(case: str) -> tuple[Plan, list[np.ndarray]]:
    """Two images, with labels of another size than what the network sees."""
    plan = make_plan(SIZE, DataConfig(base_size=BASE), PLANS[case])
    return plan, [smooth_images(2, *view.size) for view in plan.views]


def smooth_images(batch: int, height: int, width: int) -> np.ndarray:
    """(batch, 3, height, width) float32: spots of many pixels, so that several classes win."""
    spots = 2 * random_images(batch, 4, 6, seed=3).reshape(-1, 4, 6)
    images = [cv2.resize(spot, (width, height), interpolation=cv2.INTER_CUBIC) for spot in spots]
    return np.stack(images).reshape(batch, 3, height, width)


def by_hand(scores: np.ndarray, maps: int) -> np.ndarray:
    """(B, K, H, W) float32 -> float64: the softmax of one map of scores; of several the scores are sums of probabilities."""
    scores = scores.astype(np.float64)
    if maps > 1:
        return scores / maps
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.fixture(scope="module")
def learners():
    return cache(lambda backend: LEARNERS[backend](SPEC, undecided_arrays(SPEC, seed=2)))


@pytest.mark.parametrize("backend", LEARNERS)
@pytest.mark.parametrize("case", PLANS)
def test_probabilities_are_those_of_the_scores(backend, case, learners, request):
    request.getfixturevalue(f"need_{backend}")
    plan, images = planned(case)
    got = learners(backend).probabilities(images, plan)
    assert got.shape == (2, SPEC.class_count, *SIZE) and got.dtype == np.float32
    maps = len(PLANS[case].eval_scales) * (2 if PLANS[case].eval_flip else 1)
    want = by_hand(learners(backend).scores(images, plan), maps)
    assert_close(f"probabilities, {case}", got, want, "probabilities")
    assert difference(got.sum(1, dtype=np.float64), np.ones((2, *SIZE))) < 1e-6, "the classes of a pixel sum to 1"
    check_control(f"probabilities, {case}, one map more", difference(got, by_hand(want * maps, maps + 1)), "probabilities")


@pytest.mark.parametrize("backend", LEARNERS)
@pytest.mark.parametrize("case", PLANS)
def test_the_confidence_is_the_labels_probability(backend, case, learners, request):
    request.getfixturevalue(f"need_{backend}")
    plan, images = planned(case)
    labels, confidences = learners(backend).labels_and_confidences(images, plan)
    assert labels.dtype == np.uint8 and confidences.dtype == np.float32 and confidences.shape == labels.shape == (2, *SIZE)
    assert np.array_equal(labels, learners(backend).predict(images, plan)) and len(np.unique(labels)) > 2
    probabilities = learners(backend).probabilities(images, plan)
    assert np.array_equal(confidences, probabilities.max(1)), "bit by bit"
    of_labels = np.take_along_axis(probabilities, labels[:, None].astype(int), 1)[:, 0]
    assert np.array_equal(confidences, of_labels), "the label is the class of the largest probability"
    assert 1 / SPEC.class_count < confidences.min() < 0.3 and 0.6 < confidences.max() < 1


@pytest.mark.compares("mindspore", "torch")
@pytest.mark.parametrize("case", PLANS)
def test_both_frameworks_are_as_sure(case, learners, need_torch, need_mindspore):
    plan, images = planned(case)
    torch, mindspore = (learners(backend) for backend in ("torch", "mindspore"))
    want = torch.probabilities(images, plan)
    assert_close(f"probabilities of both, {case}", mindspore.probabilities(images, plan), want, "probabilities of a network")
    confidences = [learner.labels_and_confidences(images, plan)[1] for learner in (mindspore, torch)]
    assert_close(f"confidences of both, {case}", *confidences, "probabilities of a network")
    shifted = np.roll(images[0], 1, 3) + 1e-3
    changed = mindspore.probabilities([shifted, *images[1:]], plan)
    check_control(f"probabilities of both, {case}, another image", difference(changed, want), "probabilities of a network")


@pytest.mark.parametrize("backend", LEARNERS)
def test_certainty_and_doubt(backend, learners, request):
    """Logits far apart, where a plain exp overflows, and equal ones: 1 and 1/K."""
    request.getfixturevalue(f"need_{backend}")
    learner = LEARNERS[backend](SPEC, undecided_arrays(SPEC))
    logits = np.zeros((1, 4, 1, 2), np.float32)
    logits[0, 2, 0, 0] = 1000.0
    learner.prediction.logits = lambda images: as_tensor(backend, logits.copy())
    image = [np.zeros((1, 3, 1, 2), np.float32)]
    plan = Plan((1, 2), (View((1, 2), (1, 2)),))
    labels, confidences = learner.labels_and_confidences(image, plan)
    assert labels.tolist() == [[[2, 0]]] and confidences[0, 0] == pytest.approx([1.0, 0.25], rel=1e-5)
    assert learner.probabilities(image, plan)[0, :, 0, 0].tolist() == pytest.approx([0, 0, 1, 0])


def as_tensor(backend: str, array: np.ndarray):
    if backend == "torch":
        import torch

        return torch.from_numpy(array)
    import mindspore

    return mindspore.Tensor(array)
