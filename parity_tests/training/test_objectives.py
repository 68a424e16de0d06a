"""Objectives: cross-entropy, focal, Dice and Lovász-softmax, alone and in sums, against their definitions in float64."""

import numpy as np
import pytest

from parity_tests.support import assert_close, check_control, check_difference, difference
from parity_tests.training.objectives import CASES, FRAMEWORKS, OBJECTIVES, by_definition, drawn, of_backend, relative, terms_of
from segformer_core.config.keys import LossConfig
from segformer_core.config.objective import NAMES


@pytest.mark.compares("{backend}", "numpy in float64")
@pytest.mark.parametrize("backend", FRAMEWORKS)
@pytest.mark.parametrize("loss", OBJECTIVES)
def test_loss_and_gradient_are_those_of_the_definition(backend, loss, request):
    request.getfixturevalue(f"need_{backend.partition(', ')[0]}")
    terms = terms_of(loss)
    found = of_backend(backend, LossConfig(loss=loss))
    for case in CASES:
        logits, labels = drawn(case)
        want, want_gradient = by_definition(logits, labels, terms)
        got, gradient = found(logits, labels)
        size = max(want, 1.0)  # of "sure of itself" it is 70, where float32 numbers are 8e-6 apart
        assert_close(f"{loss}, {case}", np.array(got / size), np.array(want / size), "loss")
        if case == "none counted":
            assert got == 0.0 and not gradient.any() and np.isfinite(gradient).all()
        elif case == "sure of itself":  # float32 cannot tell these probabilities from 0 and 1
            assert difference(gradient, want_gradient) < 1e-4 * np.abs(by_definition(*drawn("anything"), terms)[1]).max()
        else:
            check_difference(f"{loss}, {case}", relative(gradient, want_gradient), "gradients")
        assert not gradient[np.broadcast_to(labels[:, None] == 255, gradient.shape)].any(), "ignored pixels"
    for name in terms:
        other = {**terms, name: 1.01 * terms[name]}
        logits, labels = drawn("some ignored")
        changed, changed_gradient = by_definition(logits, labels, other)
        check_control(f"a hundredth more of {name}", abs(changed - found(logits, labels)[0]), "loss")
        check_control(f"a hundredth more of {name}", relative(found(logits, labels)[1], changed_gradient), "gradients")


@pytest.mark.compares("{backend}", "numpy in float64")
@pytest.mark.parametrize("backend", [*FRAMEWORKS, "mindspore, operators"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 5.0])
def test_class_weights_and_gamma(backend, gamma, request):
    """Focal loss is weighed like cross-entropy, which it is for a gamma of 0; the weights leave Dice alone."""
    request.getfixturevalue(f"need_{backend.partition(', ')[0]}")
    weights = (0.5, 2.0, 1.0, 3.0, 0.0)
    found = of_backend(backend, LossConfig(loss="focal, dice: 0.5", focal_gamma=gamma), weights)
    logits, labels = drawn("some ignored")
    want, want_gradient = by_definition(logits, labels, {"focal": 1.0, "dice": 0.5}, gamma, weights)
    got, gradient = found(logits, labels)
    assert_close("loss", np.array(got), np.array(want), "loss")
    check_difference("gradient", relative(gradient, want_gradient), "gradients")
    check_control("no weights", abs(got - by_definition(logits, labels, {"focal": 1.0, "dice": 0.5}, gamma)[0]), "loss")
    labels = np.where(labels == 4, 4, 255).astype(np.int32)  # the class that weighs nothing
    want, want_gradient = by_definition(logits, labels, {"dice": 0.5})
    got, gradient = found(logits, labels)
    assert_close("only a class without weight", np.array(got), np.array(want), "loss")
    check_difference("only a class without weight", relative(gradient, want_gradient), "gradients")


@pytest.mark.compares("{backend}", "numpy in float64")
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_divisor_and_hard_pixels_are_those_of_cross_entropy(backend, request):
    """With `loss_average: all`, or where only hard pixels count, Dice still is that of all counted pixels."""
    request.getfixturevalue(f"need_{backend.partition(', ')[0]}")
    logits, labels = drawn("some ignored")
    ce, by_ce = by_definition(logits, labels, {"ce": 1.0})
    dice, by_dice = by_definition(logits, labels, {"dice": 1.0})
    got, gradient = of_backend(backend, LossConfig(loss="ce, dice", loss_average="all"))(logits, labels)
    share = (labels != 255).mean()
    assert_close("all", np.array(got), np.array(share * ce + dice), "loss")
    check_difference("all", relative(gradient, share * by_ce + by_dice), "gradients")
    check_control("the counted", abs(got - ce - dice), "loss")
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    hard = np.take_along_axis(p, np.where(labels == 255, 0, labels)[:, None], 1)[:, 0] < 0.3
    ce, by_ce = by_definition(logits, np.where(hard, labels, 255), {"ce": 1.0})
    got, gradient = of_backend(backend, LossConfig(loss="ce, dice", ohem_threshold=0.3, ohem_min_kept=1))(logits, labels)
    assert_close("hard pixels", np.array(got), np.array(ce + dice), "loss")
    check_difference("hard pixels", relative(gradient, by_ce + by_dice), "gradients")


def test_the_definitions_gradients_are_differences_of_their_losses():
    """The reference against itself: central differences in float64."""
    rng = np.random.default_rng(1)
    logits, labels = rng.standard_normal((1, 4, 3, 5)), rng.integers(0, 3, (1, 3, 5))
    labels[0, 0, :2] = 255
    for name in NAMES:
        _, gradient = by_definition(logits, labels, {name: 1.0}, 1.5, (1.0, 2.0, 0.5, 1.0))
        for index in np.ndindex(logits.shape):
            losses = []
            for step in (1e-6, -1e-6):
                moved = logits.copy()
                moved[index] += step
                losses.append(by_definition(moved, labels, {name: 1.0}, 1.5, (1.0, 2.0, 0.5, 1.0))[0])
            assert abs((losses[0] - losses[1]) / 2e-6 - gradient[index]) < 1e-8, (name, index)


def test_the_losses_pixels_are_rows_and_nothing_is_copied(monkeypatch, need_torch):
    import torch

    from backend_torch.loss import negative_log_probabilities

    logits = torch.zeros(2, 5, 3, 4).contiguous(memory_format=torch.channels_last)
    labels, given, own = torch.zeros(2, 3, 4, dtype=torch.long), [], torch.nn.functional.cross_entropy
    monkeypatch.setattr(
        "torch.nn.functional.cross_entropy", lambda *words, **keys: given.extend(words[:2]) or own(*words, **keys)
    )
    assert negative_log_probabilities(logits, labels).shape == labels.shape
    rows, flat = given
    assert rows.shape == (24, 5) and flat.shape == (24,)
    assert rows.data_ptr() == logits.data_ptr() and flat.data_ptr() == labels.data_ptr()
