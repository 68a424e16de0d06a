"""transformers' network as a learner: our arrays in and out, our masks in place of its randomness, its own constants alone."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from parity_tests.support import (
    CONFIG,
    difference,
    hot_arrays,
    predict,
    random_batch,
    random_masks,
    torch_learner,
    transformers_learner,
    undecided_arrays,
)
from parity_tests.tolerances import tolerance
from segformer_core.config.keys import OptimizerConfig
from segformer_core.errors import BackendError, ConfigError
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.masks import KeepMasks
from segformer_core.spec.arrays import array_specs, init_arrays
from segformer_core.spec.model import segformer

SPEC = segformer("b0", class_count=5, numerics="hf", drop_path_rate=0.3, head_dropout_rate=0.3)
RATES = [1e-3 * group.learning_rate_factor for group in parameter_groups(SPEC, OptimizerConfig())]


@pytest.fixture(autouse=True)
def frameworks(need_torch):
    pytest.importorskip("transformers")


def losses(learner, steps: range, masks=None) -> list[float]:
    return [
        float(learner.step(random_batch(SPEC, 2, 64, 96, seed), masks or random_masks(SPEC, 2, seed), RATES).loss)
        for seed in steps
    ]


def test_arrays_have_our_names_and_come_back():
    arrays = hot_arrays(SPEC)
    got = transformers_learner(SPEC, arrays).arrays()
    assert got.keys() == arrays.keys()
    assert [name for name in arrays if not np.array_equal(got[name], arrays[name])] == []


def test_it_starts_from_the_same_logits_and_labels():
    images, _ = random_batch(SPEC, 1, 75, 131)
    for arrays in (init_arrays(SPEC, 0), hot_arrays(SPEC)):
        ours, theirs = torch_learner(SPEC, arrays), transformers_learner(SPEC, arrays)
        assert difference(theirs.forward(images), ours.forward(images)) <= tolerance("logits")
    arrays = undecided_arrays(SPEC)
    maps = [predict(make(SPEC, arrays), images[0], 75, 131) for make in (torch_learner, transformers_learner)]
    assert len(np.unique(maps[0])) > 1 and (maps[0] != maps[1]).mean() < 1e-3


def test_it_takes_our_masks_and_draws_nothing_itself():
    arrays = hot_arrays(SPEC)
    first, again = (losses(transformers_learner(SPEC, arrays), range(1)) for _ in range(2))
    assert first == again
    masks = random_masks(SPEC, 2)
    for changed in (KeepMasks(np.ones_like(masks.paths), masks.channels), KeepMasks(masks.paths, np.ones_like(masks.channels))):
        other = losses(transformers_learner(SPEC, arrays), range(1), changed)
        assert abs(other[0] - first[0]) > 100 * tolerance("loss")
        assert abs(other[0] - losses(torch_learner(SPEC, arrays), range(1), changed)[0]) <= tolerance("loss")


def test_a_run_goes_on_from_its_arrays():
    """And from those of our network: the names and shapes are the same."""
    learner = transformers_learner(SPEC, init_arrays(SPEC, 0))
    losses(learner, range(3))
    arrays, optimizer = learner.arrays(), learner.optimizer_arrays()
    trained = {array.name for array in array_specs(SPEC) if array.trainable}
    assert {name.removeprefix("moment1.") for name in optimizer if name.startswith("moment1.")} == trained
    want = losses(learner, range(3, 5))
    for make, allowed in ((transformers_learner, 0.0), (torch_learner, tolerance("losses of twenty steps"))):
        fresh = make(SPEC, arrays)
        fresh.load_optimizer_arrays(optimizer)
        assert difference(np.array(losses(fresh, range(3, 5))), np.array(want)) <= allowed


def test_lower_precision_reaches_its_layers():
    arrays, (images, _) = hot_arrays(SPEC), random_batch(SPEC, 1, 64, 96)
    runtime = replace(CONFIG.runtime, precision="bf16")
    got = transformers_learner(SPEC, arrays, replace(CONFIG, runtime=runtime)).forward(images)
    found = difference(got, transformers_learner(SPEC, arrays).forward(images))
    assert got.dtype == np.float32 and 100 * tolerance("logits") < found <= tolerance("logits in bf16")


def test_other_constants_than_its_own_are_refused():
    spec = segformer("b0", class_count=5)
    with pytest.raises(ConfigError) as caught:
        transformers_learner(spec, {})
    assert str(caught.value) == "numerics is nvlabs, and transformers' network has those of hf; set --numerics hf"


@pytest.mark.parametrize("module", ["transformers", "segformer_core.commands.contestants"])
def test_a_module_that_is_missing_is_named(module, monkeypatch):
    from backend_torch.transformers_learner import connect

    monkeypatch.delitem(sys.modules, "backend_torch.transformers_peer", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendError) as caught:
        connect(CONFIG.runtime)
    assert str(caught.value) == f"{module} is not installed, and transformers' network needs it; install it here"
