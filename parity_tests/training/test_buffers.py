"""An Ascend updates weights in buffers of many arrays: the same numbers as array by array, in every kind of step."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from parity_tests.ascend.ascend_graphs import small_network
from parity_tests.support import CONFIG, difference, mindspore_learner, random_batch, random_masks
from parity_tests.training_runs import long
from segformer_core.config.keys import Config, OptimizerConfig, TrainingConfig
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Learner
from segformer_core.spec.arrays import init_arrays

pytestmark = pytest.mark.usefixtures("need_mindspore")
SPEC, STEPS = small_network(), 3
FACTORS = [group.learning_rate_factor for group in parameter_groups(SPEC, CONFIG.optimizer)]
CLIPPED = replace(CONFIG, optimizer=OptimizerConfig(clip_norm=0.5, weight_decay=3.0, ema_decay=0.5))
IN_PARTS = replace(CONFIG, training=TrainingConfig(accumulation_steps=2))
MOST_ARRAYS = 3
"""So that each group has several buffers."""
ROUNDING, MOVED = 1e-4, 1e-3
"""How far weights may be apart, and how far a few steps move them. A CPU's Adam rounds the last numbers of an array otherwise."""


def learner_of(config: Config, in_buffers: bool, monkeypatch: pytest.MonkeyPatch, mode: str) -> Learner:
    from backend_mindspore import buffers, kernels

    monkeypatch.setattr(buffers, "MOST_ARRAYS", MOST_ARRAYS)
    monkeypatch.setattr(kernels, "updates_in_buffers", lambda: in_buffers)
    learner = mindspore_learner(SPEC, init_arrays(SPEC, 0), config, mode=mode)
    assert (learner.training_step.optimizer.in_buffers is not None) == in_buffers
    return learner


def take(learner: Learner, steps: range) -> list[tuple[float, ...]]:
    rates = [1e-3 * factor for factor in FACTORS]
    found = [learner.step(random_batch(SPEC, 4, 32, 32, step), random_masks(SPEC, 4, step), rates) for step in steps]
    return [tuple(map(float, astuple(step))) for step in found]


def kept(learner: Learner) -> dict[str, np.ndarray]:
    return learner.arrays() | learner.optimizer_arrays()


def apart(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    assert one.keys() == other.keys()
    return max(difference(one[name], array) for name, array in other.items())


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        pytest.param(CONFIG, "graph", id="plain"),
        pytest.param(CLIPPED, "graph", id="clipped", marks=long),
        pytest.param(IN_PARTS, "graph", id="in parts", marks=long),
    ],
)
def test_steps_are_the_same(config, mode, monkeypatch):
    each, buffers = (learner_of(config, in_buffers, monkeypatch, mode) for in_buffers in (False, True))
    assert np.abs(np.subtract(take(buffers, range(STEPS)), take(each, range(STEPS)))).max() < ROUNDING
    assert apart(buffers.arrays(), each.arrays()) < ROUNDING
    assert apart(buffers.optimizer_arrays(), each.optimizer_arrays()) < ROUNDING
    moved = [difference(array, buffers.arrays()[name]) for name, array in init_arrays(SPEC, 0).items()]
    assert np.median(moved) > MOVED and min(moved) > 0


def test_a_step_that_overflows_changes_nothing(monkeypatch):
    learner = learner_of(CONFIG, True, monkeypatch, "pynative")
    take(learner, range(1))
    before = kept(learner)
    images, labels = random_batch(SPEC, 4, 32, 32)
    assert float(learner.step((images * np.float32(np.inf), labels), random_masks(SPEC, 4), [1e-3] * len(FACTORS)).overflowed)
    changed = {name for name, array in kept(learner).items() if not np.array_equal(before[name], array)}
    assert changed == {"skipped_steps"}


@pytest.mark.parametrize("from_buffers", [pytest.param(False, marks=long), True])
def test_a_run_goes_on_in_the_other_form(from_buffers, monkeypatch):
    first = learner_of(CONFIG, from_buffers, monkeypatch, "pynative")
    take(first, range(STEPS))
    weights, state = first.arrays(), first.optimizer_arrays()
    second = learner_of(CONFIG, not from_buffers, monkeypatch, "pynative")
    second.load_arrays(weights)
    second.load_optimizer_arrays(state)
    assert apart(kept(second), kept(first)) == 0.0
    take(first, range(STEPS, STEPS + 1)), take(second, range(STEPS, STEPS + 1))
    assert apart(kept(second), kept(first)) < ROUNDING


def test_no_buffer_has_parameters_of_two_groups_or_too_many(monkeypatch):
    optimizer = learner_of(CONFIG, True, monkeypatch, "pynative").training_step.optimizer
    group_of = {name: group for group in parameter_groups(SPEC, CONFIG.optimizer) for name in group.names}
    names = [optimizer.names[start:end] for start, end in optimizer.in_buffers.arrays_of]
    assert [name for part in names for name in part] == optimizer.names and max(map(len, names)) == MOST_ARRAYS
    assert all(len({id(group_of[name]) for name in part}) == 1 for part in names)
    of_groups = [sum(names[start:end], start=[]) for start, end in optimizer.in_buffers.bounds]  # noqa: RUF017
    assert of_groups == [list(group.names) for group in parameter_groups(SPEC, CONFIG.optimizer)]
