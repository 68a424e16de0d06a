"""OHEM: which pixels are hard, by mmsegmentation's rule; a batch in several parts has those of the whole batch."""

from dataclasses import replace

import numpy as np
import pytest

from parity_tests.ascend.ascend_graphs import small_network
from parity_tests.support import (
    CONFIG,
    LEARNERS,
    assert_close,
    check_control,
    check_difference,
    difference,
    random_batch,
    random_masks,
)
from parity_tests.training.losses import (
    cross_entropy,
    hard_pixels,
    label_probabilities,
    probabilities,
    ranked_probabilities,
    rule,
    rule_of_each,
)
from parity_tests.training_runs import FULL
from segformer_core.config.keys import LossConfig, TrainingConfig
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.hard_pixels import most_kept, steps
from segformer_core.protocol.masks import KeepMasks
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.layers import RUNNING_STATISTICS

SPEC = small_network()
RATES = [1e-3] * len(parameter_groups(SPEC, CONFIG.optimizer))


def drawn(case: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(2, 12, 16) float32 probabilities, and which pixels are counted."""
    p, counted = rng.random((2, 12, 16), np.float32), rng.random((2, 12, 16)) < 0.9
    match case:
        case "sure of itself":
            p = 1 - p * np.float32(2**-12)
        case "far below the threshold":
            p *= np.float32(1e-30)
        case "in steps":
            p = np.round(p, 1)
        case "certain":
            p[:] = 1
        case "one counted":
            counted = np.arange(p.size).reshape(p.shape) == 100
        case "none counted":
            counted[:] = False
    return p, counted


CASES = ("anything", "sure of itself", "far below the threshold", "in steps", "certain", "one counted", "none counted")


@pytest.mark.parametrize("backend", LEARNERS)
@pytest.mark.parametrize(("threshold", "min_kept"), [(1e-300, 20), (1e-6, 20), (0.3, 150), (0.7, 1), (0.7, 10**9), (1.0, 100)])
def test_hard_pixels_are_those_of_the_rule(backend, threshold, min_kept, request):
    request.getfixturevalue(f"need_{backend}")
    rng, by_rank = np.random.default_rng(0), 0
    found = hard_pixels(backend, LossConfig(ohem_threshold=threshold, ohem_min_kept=min_kept))
    for case in CASES:
        p, counted = drawn(case, rng)
        labels = np.where(counted, rng.integers(0, 5, p.shape), 255).astype(np.int32)
        hard = rule(p, counted, threshold, min_kept)
        assert np.array_equal(found(np.where(counted, p, np.float32(2)), labels), np.where(hard, labels, 255)), case
        by_rank += not np.array_equal(hard, counted & (p < np.float32(threshold)))
    assert by_rank or threshold == 1.0, "the rank must matter"


def test_steps_reach_every_number_above_the_threshold():
    """Taken where they do not pass a number, they add up to it; float32 numbers below the threshold may be missed."""
    rng = np.random.default_rng(0)
    for threshold in (1.0, 0.7, 0.5, 0.3, 1e-6):
        for wanted in (*rng.uniform(threshold, 1, 50).astype(np.float32), np.float32(threshold), np.float32(1)):
            found = np.float32(0)
            for step in steps(threshold):
                found = found + np.float32(step) if found + np.float32(step) <= wanted else found
            assert found == wanted, (threshold, wanted)
    assert len(steps(0.7)) == 25
    assert [steps(tiny)[-1] for tiny in (2.0**-102, 2.0**-126, 1e-300)] == [2.0**-125] * 3, "a normal number"


def test_no_more_are_kept_than_there_are():
    assert most_kept(100, (2, 12, 16), 1) == 200 and most_kept(100, (2, 12, 16), 3) == 600
    assert most_kept(10**9, (2, 12, 16), 3) == 3 * 2 * 12 * 16


@pytest.mark.compares("{backend}", "numpy in float64")
@pytest.mark.parametrize("backend", LEARNERS)
@pytest.mark.parametrize("average", ["counted", "all"])
def test_the_loss_is_that_of_the_hard_pixels(backend, average, request):
    """The divisor is the number of hard pixels, or with `loss_average: all` that of all pixels, ignored and easy ones too."""
    request.getfixturevalue(f"need_{backend}")
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((2, 5, 12, 16)).astype(np.float32) * 3
    labels = rng.integers(0, 5, (2, 12, 16)).astype(np.int32)
    labels[0, :3] = 255
    for config in (LossConfig(ohem_threshold=0.3, ohem_min_kept=20), LossConfig(ohem_threshold=1e-6, ohem_min_kept=20)):
        kept = hard_pixels(backend, config)(label_probabilities(backend, scores, labels), labels)
        total, weight = cross_entropy(backend, replace(config, loss_average=average))(scores, kept)
        p, counted = probabilities(scores, labels), labels != 255
        hard = rule(p, counted, config.ohem_threshold, config.ohem_min_kept)
        divisor = {"counted": hard.sum(), "all": labels.size}[average]
        assert_close("loss", np.array(total / weight), -np.log(p[hard]).sum() / divisor, "loss")
        check_control("all pixels", abs(np.log(p[hard]).sum() - np.log(p[counted]).sum()) / divisor, "loss")


def twice(images: int = 2):
    """A batch whose second half has the images and keep masks of the first, and other labels.

    BatchNorm's moments are then those of each half, so that a network may be compared over parts.
    """
    (x, _), masks = random_batch(SPEC, images, 64, 96), random_masks(SPEC, images)
    labels = random_batch(SPEC, 2 * images, 64, 96, seed=1)[1]
    labels[:images, :40] = 255
    return (np.concatenate((x, x)), labels), KeepMasks(
        np.concatenate((masks.paths, masks.paths), 2), np.concatenate((masks.channels, masks.channels))
    )


LOSSES = {
    "ohem by rank": LossConfig(ohem_threshold=0.05, ohem_min_kept=700),
    "ohem over all": LossConfig(ohem_threshold=0.05, ohem_min_kept=700, loss_average="all"),
    "all": LossConfig(loss_average="all"),
}


@pytest.mark.compares("{backend}, two parts", "the same in one part")
@pytest.mark.parametrize("backend", ["torch", *(["mindspore"] if FULL else [])])  # the twins are held equal in test_recipe.py
@pytest.mark.parametrize("loss", LOSSES)
def test_two_parts_are_one(backend, loss, request):
    """One step: the loss, and the gradients as AdamW's first moments. Parts that ranked their own pixels would keep others."""
    request.getfixturevalue(f"need_{backend}")
    batch, masks = twice()
    found = []
    for parts in (1, 2):
        config = replace(CONFIG, loss=LOSSES[loss], training=TrainingConfig(accumulation_steps=parts))
        learner = LEARNERS[backend](SPEC, init_arrays(SPEC, 0), config)
        if parts == 2 and config.loss.ohem_threshold:
            p, counted = ranked_probabilities(learner, batch, masks), batch[1] != 255
            together, apart = (rule_of_each(p, counted, config.loss, shares) for shares in (1, 2))
            alone = difference(*(-np.log(p[hard]).sum() / p.size for hard in (together, apart)))
            check_control("each part ranked by itself", alone, "loss")
            unequal = [int(part.sum()) for part in np.split(together, 2)]
            assert unequal[0] != unequal[1], "the parts have their hard pixels in unequal numbers"
        found.append((float(learner.step(batch, masks, RATES).loss), learner.optimizer_arrays()))
    (want_loss, want), (loss_found, got) = found
    assert_close("loss", np.array(loss_found), np.array(want_loss), "loss")
    moments = [name for name in want if name.startswith("moment1.")]
    largest = max(float(np.abs(want[name]).max()) for name in moments)
    for name in moments:
        check_difference(name, difference(got[name], want[name]) / largest, "gradients")


@pytest.mark.parametrize("backend", ["torch", *(["mindspore"] if FULL else [])])
def test_ranking_leaves_the_running_statistics(backend, request):
    """They are those of a step that ranks nothing, to the bit: all steps are forward passes over the same parts."""
    request.getfixturevalue(f"need_{backend}")
    batch, masks = twice()
    found = []
    for loss in (LossConfig(), LOSSES["ohem by rank"]):
        config = replace(CONFIG, loss=loss, training=TrainingConfig(accumulation_steps=2))
        learner = LEARNERS[backend](SPEC, init_arrays(SPEC, 0), config)
        learner.step(batch, masks, RATES)
        arrays = learner.arrays()
        found.append([arrays[name] for name in arrays if name.rpartition(".")[2] in RUNNING_STATISTICS])
    assert found[0] and all(np.array_equal(*pair) for pair in zip(*found, strict=True))
