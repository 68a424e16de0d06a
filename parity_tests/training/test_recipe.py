"""The options of a recipe, in both backends: class weights, OHEM, clipping, accumulated batches, a frozen encoder."""

import math
from dataclasses import replace

import numpy as np
import pytest

from parity_tests.ascend.ascend_graphs import small_network
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import (
    CONFIG,
    LEARNERS,
    assert_close,
    check_control,
    check_difference,
    difference,
    gradients,
    mindspore_learner,
    random_batch,
    random_masks,
    torch_learner,
)
from parity_tests.training.losses import cross_entropy, probabilities
from parity_tests.training_runs import FULL
from segformer_core.config.keys import LossConfig, OptimizerConfig, TrainingConfig
from segformer_core.data.layout import open_dataset
from segformer_core.errors import ConfigError
from segformer_core.protocol import loss_scale
from segformer_core.protocol.groups import parameter_groups
from segformer_core.spec.arrays import init_arrays
from segformer_core.training.class_weights import CITYSCAPES, class_weights, frequency_weights, pixel_counts
from segformer_core.training.schedule import group_rates

SPEC = small_network()
WEIGHTS = (0.5, 1.0, 2.0, 0.0, 3.0)
OHEM, OVER_ALL = LossConfig(ohem_threshold=0.1, ohem_min_kept=2000), LossConfig(loss_average="all")
STEPS = 6


def batch_of(rng_seed: int, images: int = 4):
    return random_batch(SPEC, images, 64, 96, seed=rng_seed), random_masks(SPEC, images, seed=rng_seed)


def numpy_loss(logits: np.ndarray, labels: np.ndarray, weights) -> tuple[float, float]:
    """Σ w · -log p and Σ w over the pixels that count, from the definitions, in float64."""
    counts = labels != 255
    w, truth = np.array(weights)[labels[counts]], probabilities(logits, labels)[counts]
    return float((w * -np.log(truth)).sum()), float(w.sum())


@pytest.mark.compares("{backend}", "numpy in float64")
@pytest.mark.parametrize("backend", LEARNERS)
@pytest.mark.parametrize("average", ["counted", "all"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_the_loss_is_its_definition(backend, average, weights, request):
    request.getfixturevalue(f"need_{backend}")
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((2, 5, 12, 16)).astype(np.float32) * 3
    labels = rng.integers(0, 5, (2, 12, 16)).astype(np.int32)
    labels[0, :3] = 255
    total, weight = cross_entropy(backend, LossConfig(loss_average=average), weights)(scores, labels)
    want_total, want_weight = numpy_loss(scores, labels, weights or (1.0,) * 5)
    divisor = {"counted": want_weight, "all": 2 * 12 * 16}[average]
    assert_close("loss", np.array(total / weight), np.array(want_total / divisor), "loss")
    assert weight * labels.size == pytest.approx(divisor, rel=1e-5)
    check_control("the other divisor", abs(want_total / want_weight - want_total / labels.size), "loss")


CASES = {
    "weighted and clipped": replace(CONFIG, optimizer=OptimizerConfig(clip_norm=0.05, warmup_steps=0), loss=OVER_ALL),
    "hard pixels in two batches": replace(CONFIG, loss=OHEM, training=TrainingConfig(accumulation_steps=2)),
}


@pytest.mark.compares("mindspore, graph", "torch")
@pytest.mark.parametrize("case", CASES)
def test_twins_take_the_same_steps(case, need_torch, need_mindspore):
    config = CASES[case]
    weights = WEIGHTS if "weighted" in case else None
    arrays = init_arrays(SPEC, 0)
    groups = parameter_groups(SPEC, config.optimizer)
    learners = [make(SPEC, arrays, config, class_weights=weights) for make in (torch_learner, mindspore_learner)]
    losses: list[list[float]] = [[], []]
    for step in range(STEPS):
        batch, masks = batch_of(step)
        for learner, values in zip(learners, losses, strict=True):
            values.append(float(learner.step(batch, masks, group_rates(groups, 2e-5, encoder_frozen=step < 2)).loss))
        if step == 1:
            for name, value in learners[0].arrays().items():
                moved = not np.array_equal(value, arrays[name])
                assert moved == name.startswith("decode_head."), f"{name}: the encoder is frozen, the head is not"
                if not moved:
                    assert np.array_equal(learners[1].arrays()[name], value), name
    check_difference(case, difference(np.array(losses[1]), np.array(losses[0])), "losses of twenty steps")
    want, got = (learner.arrays() for learner in learners)
    for name, value in want.items():
        if name != "stages.1.norm.bias" and not name.endswith("attn.kv.bias"):  # their gradients are rounding noise
            check_difference(name, difference(got[name], value), "weights after twenty steps")


@pytest.mark.compares("{backend}", "the definitions in float64")
@pytest.mark.parametrize("backend", ["torch", "mindspore"] if FULL else ["torch"])  # the twins are held equal above
def test_clipping_and_accumulation_are_their_definitions(backend, request):
    """AdamW's first moment after one step is a tenth of the gradient that it was given."""
    request.getfixturevalue(f"need_{backend}")
    training, clip = TrainingConfig(accumulation_steps=2), 0.05
    config = replace(CONFIG, training=training, optimizer=OptimizerConfig(clip_norm=clip))
    arrays, (batch, masks) = init_arrays(SPEC, 0), batch_of(0)
    batch[1][:2, :40] = 255  # the first part counts less than the second
    learner, probe = (LEARNERS[backend](SPEC, arrays, config) for _ in range(2))
    report = learner.step(batch, masks, [0.0] * len(parameter_groups(SPEC, config.optimizer)))
    sums, counted, losses = dict.fromkeys(arrays, 0.0), 0, 0.0
    for part in (slice(0, 2), slice(2, 4)):
        probe.load_arrays(arrays)
        keep = replace(masks, paths=masks.paths[:, :, part], channels=masks.channels[part])
        loss, part_gradients = gradients(probe, (batch[0][part], batch[1][part]), keep)
        pixels = int((batch[1][part] != 255).sum())
        sums = {name: sums[name] + pixels * value.astype(np.float64) for name, value in part_gradients.items()}
        counted, losses = counted + pixels, losses + pixels * loss
    assert_close("loss", np.array(float(report.loss)), np.array(losses / counted), "loss")
    mean = {name: value / counted for name, value in sums.items()}
    norm = math.sqrt(sum(float((value**2).sum()) for value in mean.values()))
    assert norm > 3 * clip, "there must be something to clip"
    moments = learner.optimizer_arrays()
    largest = max(float(np.abs(value).max()) for value in mean.values()) * clip / norm
    for name, value in mean.items():
        want = value * clip / norm
        check_difference(name, difference(10 * moments[f"moment1.{name}"], want) / largest, "gradients")
    learner.load_arrays(arrays)
    again = learner.step(batch, masks, [0.0] * len(parameter_groups(SPEC, config.optimizer)))
    assert float(again.loss) == float(report.loss), "the accumulated sums start from zero"


@pytest.mark.compares("{backend}, average over all pixels", "that over counted ones")
@pytest.mark.parametrize("backend", ["torch", *(["mindspore"] if FULL else [])])
def test_the_average_over_all_pixels_is_shorter_by_the_counted_share(backend, request):
    """Loss and gradient alike, in one part and in two of which one counts less."""
    request.getfixturevalue(f"need_{backend}")
    batch, masks = batch_of(0)
    batch[1][:2, :40] = 255
    share, rates = (batch[1] != 255).mean(), [0.0] * len(parameter_groups(SPEC, CONFIG.optimizer))
    for parts in (1, 2):
        found = []
        for loss in (LossConfig(), OVER_ALL):
            config = replace(CONFIG, loss=loss, training=TrainingConfig(accumulation_steps=parts))
            learner = LEARNERS[backend](SPEC, init_arrays(SPEC, 0), config)
            report = learner.step(batch, masks, rates)
            found.append((float(report.loss), learner.optimizer_arrays()))
        (counted, moments), (over_all, short) = found
        assert_close("loss", np.array(over_all), np.array(share * counted), "loss")
        largest = max(float(np.abs(value).max()) for name, value in moments.items() if name.startswith("moment1."))
        for name, value in moments.items():
            if name.startswith("moment1."):
                check_difference(name, difference(short[name], share * value) / largest, "gradients")


@pytest.mark.parametrize("backend", LEARNERS)
def test_a_batch_without_counted_pixels_costs_nothing_over_all(backend, request):
    request.getfixturevalue(f"need_{backend}")
    scores, labels = np.ones((1, 5, 4, 6), np.float32), np.full((1, 4, 6), 255, np.int32)
    assert cross_entropy(backend, OVER_ALL)(scores, labels) == (0.0, 1.0)


def test_class_weights_from_labels(tmp_path):
    root = write_folder_dataset(tmp_path, images=3)
    dataset = open_dataset(str(root), "train")
    counts = pixel_counts(dataset, workers=2)
    assert counts.sum() == 3 * (64 * 96 - 4) and counts.shape == (3,), "the four ignored pixels are not counted"
    weights = class_weights("auto", dataset, workers=0)
    assert weights == frequency_weights(counts) and np.mean(weights) == pytest.approx(1.0)
    assert np.argsort(weights).tolist() == np.argsort(-counts).tolist(), "rare classes weigh more"
    assert class_weights("[1, 0.5, 2]", dataset, 0) == class_weights("1,0.5,2", dataset, 0) == (1.0, 0.5, 2.0)
    assert class_weights("none", dataset, 0) is None
    assert len(CITYSCAPES) == 19


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cityscapes", "class_weights has 19 weights and the data 3 classes"),
        ("1, 2", "class_weights has 2 weights and the data 3 classes"),
        ("1, two, 3", "expected none, cityscapes, auto or a list of numbers"),
        ("1, -2, 3", "expected finite numbers from 0 on"),
        ("0, 0, 0", "not all 0"),
        ("1, inf, 3", "expected finite numbers"),
    ],
)
def test_mistakes_in_class_weights(text, message, tmp_path):
    dataset = open_dataset(str(write_folder_dataset(tmp_path)), "train")
    with pytest.raises(ConfigError, match=message):
        class_weights(text, dataset, 0)


@pytest.mark.parametrize(
    ("saved", "precision", "resumed"),
    [
        (2.0**10, "fp16", 2.0**10),
        (1.0, "fp32", 1.0),
        (1.0, "bf16", 1.0),
        (1.0, "fp16", loss_scale.START),
        (2.0**14, "fp32", 1.0),
        (2.0**14, "bf16", 1.0),
    ],
)
def test_another_precision_starts_its_own_loss_scale(saved, precision, resumed):
    arrays = {"loss_scale": np.array(saved, np.float32), "steps": np.array(7, np.float32)}
    got = loss_scale.resumed(arrays, precision)
    assert got["loss_scale"] == resumed and got["steps"] == 7 and got.keys() == arrays.keys()
