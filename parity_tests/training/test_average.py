"""Moving averages of the weights: by their definition in float64, left alone by skipped steps, and lent to an evaluation."""

from dataclasses import replace

import numpy as np
import pytest

from parity_tests.ascend.ascend_graphs import small_network
from parity_tests.support import CONFIG, LEARNERS, check_control, difference, predict, random_batch, random_images, random_masks
from parity_tests.training_runs import SLOW_IN_MINDSPORE
from segformer_core.config.keys import OptimizerConfig
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Learner
from segformer_core.spec.arrays import init_arrays

SPEC = small_network()
DECAY, STEPS = 0.3, 4
AVERAGED = replace(CONFIG, optimizer=OptimizerConfig(ema_decay=DECAY))
RATES = [1e-3] * len(parameter_groups(SPEC, AVERAGED.optimizer))
ROUNDING = 1e-6


def learner_of(backend: str, request: pytest.FixtureRequest) -> Learner:
    request.getfixturevalue(f"need_{backend}")
    return LEARNERS[backend](SPEC, init_arrays(SPEC, 0), AVERAGED)


def take(learner: Learner, steps: range) -> None:
    for step in steps:
        learner.step(random_batch(SPEC, 2, 64, 64, step), random_masks(SPEC, 2, step), RATES)


def averages(learner: Learner) -> dict[str, np.ndarray]:
    kept = learner.optimizer_arrays()
    return {name: kept[f"average.{name}"] for name in init_arrays(SPEC, 0)}


def defined(values: list[dict[str, np.ndarray]], decays: list[float]) -> dict[str, np.ndarray]:
    """The average of the arrays after each step, from those before the first, in float64."""
    average = {name: array.astype(np.float64) for name, array in values[0].items()}
    for arrays, decay in zip(values[1:], decays, strict=True):
        average = {name: decay * value + (1 - decay) * arrays[name] for name, value in average.items()}
    return average


@pytest.mark.parametrize("backend", LEARNERS)
def test_the_averages_follow_their_definition(backend, request):
    """Steps 1 to 4 have the decays 2/11, 3/12, then 0.3, as 4/13 is above it. Running statistics are averaged, too."""
    learner = learner_of(backend, request)
    values = [learner.arrays()]
    for step in range(STEPS):
        take(learner, range(step, step + 1))
        values.append(learner.arrays())
    got, want = averages(learner), defined(values, [2 / 11, 3 / 12, DECAY, DECAY])
    assert max(difference(got[name], array) for name, array in want.items()) < ROUNDING
    moved = "decode_head.linear_fuse.bn.running_mean"
    assert difference(got[moved], values[-1][moved]) > 100 * ROUNDING, "the average is not the last value"
    constant = defined(values, [DECAY] * STEPS)
    check = max(difference(got[name], array) for name, array in constant.items())
    check_control("a decay that does not rise", check, "losses of twenty steps")


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_a_skipped_step_leaves_them_alone(backend, request):
    learner = learner_of(backend, request)
    take(learner, range(2))
    before = averages(learner)
    images, labels = random_batch(SPEC, 2, 64, 64)
    step = learner.step((np.full_like(images, np.nan), labels), random_masks(SPEC, 2), RATES)
    assert bool(step.overflowed)
    assert [name for name, array in averages(learner).items() if not np.array_equal(array, before[name])] == []


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_an_evaluation_sees_them_and_training_goes_on_without(backend, request):
    learner, image = learner_of(backend, request), random_images(1, 64, 64)[0]
    take(learner, range(STEPS))
    own, state = learner.arrays(), learner.optimizer_arrays()
    with learner.averaged():
        lent, seen = learner.arrays(), learner.forward(image[None])
    assert [name for name, array in averages(learner).items() if not np.array_equal(array, lent[name])] == []
    assert [name for name, array in learner.arrays().items() if not np.array_equal(array, own[name])] == []
    assert [name for name, array in learner.optimizer_arrays().items() if not np.array_equal(array, state[name])] == []
    other = LEARNERS[backend](SPEC, lent)
    assert np.array_equal(seen, other.forward(image[None])) and not np.array_equal(seen, learner.forward(image[None]))
    with other.averaged():
        assert np.array_equal(predict(other, image, 64, 64), predict(LEARNERS[backend](SPEC, lent), image, 64, 64))


def test_both_frameworks_have_the_same(request):
    """Each goes on from the other's, too."""
    first, second = (learner_of(backend, request) for backend in LEARNERS)
    for learner in (first, second):
        take(learner, range(2))
    weights, state = first.arrays(), first.optimizer_arrays()
    second.load_arrays(weights)
    second.load_optimizer_arrays(state)
    for learner in (first, second):
        take(learner, range(2, 3))
    want, got = averages(first), averages(second)
    assert max(difference(got[name], array) for name, array in want.items()) < 2e-4, "as far as the weights are apart"
