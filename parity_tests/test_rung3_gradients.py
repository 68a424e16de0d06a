"""Rung 3: the loss, every gradient and BatchNorm's running statistics, drop path and dropout at the paper's rates."""

from dataclasses import replace

import numpy as np
import pytest

from parity_tests.support import (
    FORMS,
    LEARNERS,
    MODES,
    assert_close,
    check_control,
    check_difference,
    difference,
    gradients,
    hot_arrays,
    mindspore_learner,
    random_batch,
    random_masks,
    runtime_of,
    torch_learner,
    transformers_learner,
)
from parity_tests.training_runs import SLOW_IN_MINDSPORE
from segformer_core.config.keys import LossConfig
from segformer_core.protocol.learner import Learner
from segformer_core.protocol.masks import KeepMasks
from segformer_core.spec.layers import RUNNING_STATISTICS
from segformer_core.spec.model import segformer

SPEC = segformer("b0", class_count=7, drop_path_rate=0.3, head_dropout_rate=0.3)


def agree_on_a_batch(first: Learner, second: Learner, arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], ...]:
    """Raise unless loss, gradients and statistics of the second are those of the first; returns both gradients."""
    masks, batch = random_masks(SPEC, 2), random_batch(SPEC, 2, 75, 107)
    assert (masks.paths == 0).any() and (masks.channels == 0).any()
    loss, want = gradients(first, batch, masks)
    other_loss, got = gradients(second, batch, masks)
    assert_close("loss", np.array(other_loss), np.array(loss), "loss")
    assert got.keys() == want.keys()
    largest = max(float(np.abs(value).max()) for value in want.values())
    for name, value in want.items():
        scale = max(float(np.abs(value).max()), 1e-3 * largest)  # some gradients are 0 but for rounding
        check_difference(name, difference(got[name], value) / scale, "gradients")
    for name in arrays:
        if name.rpartition(".")[2] in RUNNING_STATISTICS:
            assert_close(name, second.arrays()[name], first.arrays()[name], "running statistics")
            check_control("statistics that stay", difference(arrays[name], first.arrays()[name]), "running statistics", times=100)
    return want, got


@pytest.mark.compares("mindspore, {mode}", "torch")
@pytest.mark.parametrize("mode", FORMS)
def test_loss_gradients_and_statistics(mode, need_torch, need_mindspore):
    arrays = hot_arrays(SPEC)
    found = agree_on_a_batch(torch_learner(SPEC, arrays), mindspore_learner(SPEC, arrays, mode=mode), arrays)
    assert not any(gradient["decode_head.linear_c.0.bias"].any() for gradient in found), "BatchNorm removes its effect"


@pytest.mark.compares("{backend}", "transformers")
@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_loss_gradients_and_statistics_are_those_of_transformers(backend, need_torch, request):
    """With the masks that we draw in place of its own. Of the head's four biases its gradient is rounding noise, ours 0."""
    request.getfixturevalue(f"need_{backend}")
    spec = segformer("b0", class_count=7, numerics="hf", drop_path_rate=0.3, head_dropout_rate=0.3)
    arrays = hot_arrays(spec)
    agree_on_a_batch(transformers_learner(spec, arrays), LEARNERS[backend](spec, arrays), arrays)


def test_the_comparison_sees_one_dropped_branch(need_torch):
    arrays, batch, masks = hot_arrays(SPEC), random_batch(SPEC, 2, 64, 64), random_masks(SPEC, 2)
    paths = masks.paths.copy()
    paths[3, 1, 0] = 1.0 - paths[3, 1, 0].clip(0, 1)
    loss, want = gradients(torch_learner(SPEC, arrays), batch, masks)
    other_loss, got = gradients(torch_learner(SPEC, arrays), batch, KeepMasks(paths, masks.channels))
    check_control("a residual branch dropped in one sample", abs(loss - other_loss), "loss")
    name = "decode_head.linear_pred.weight"
    found = difference(got[name], want[name]) / np.abs(want[name]).max()
    check_control("a residual branch dropped in one sample", found, "gradients", times=100)


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_an_all_ignored_batch_costs_nothing(backend, request):
    request.getfixturevalue(f"need_{backend}")
    learner = LEARNERS[backend](SPEC, hot_arrays(SPEC))
    images, labels = random_batch(SPEC, 1, 64, 64)
    loss, found = gradients(learner, (images, np.full_like(labels, 255)), random_masks(SPEC, 1))
    assert loss == 0.0
    assert all(not value.any() for value in found.values())


@pytest.mark.compares("{backend}", "numpy in float64")
@pytest.mark.parametrize("backend", ["torch", *(f"mindspore, {mode}" for mode in MODES)])
def test_loss_is_the_mean_over_counted_pixels(backend, request):
    framework, _, mode = backend.partition(", ")
    request.getfixturevalue(f"need_{framework}")
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((2, 5, 6, 7)).astype(np.float32) * 3
    labels = rng.integers(0, 5, (2, 6, 7)).astype(np.int32)
    labels[0, :3] = 255
    p = np.exp(scores.astype(np.float64))
    p /= p.sum(1, keepdims=True)
    counted = labels != 255
    picked = np.take_along_axis(p, np.where(counted, labels, 0)[:, None], 1)[:, 0]
    if framework == "torch":
        import torch

        from backend_torch.loss import CrossEntropy

        total, weight = CrossEntropy(LossConfig())(torch.from_numpy(scores), torch.from_numpy(labels))
        loss = (total / weight).numpy()
    else:
        from mindspore import Tensor

        from backend_mindspore.device import connect
        from backend_mindspore.loss import CrossEntropy

        connect(replace(runtime_of("mindspore"), execution_mode=mode))
        total, weight = CrossEntropy(LossConfig())(Tensor(scores), Tensor(labels))
        loss = (total / weight).asnumpy()
    assert_close("loss", loss, np.array(-np.log(picked[counted]).mean()), "loss")
    check_control("ignored pixels counted", abs(float(loss) + np.log(picked[counted]).sum() / labels.size), "loss")
