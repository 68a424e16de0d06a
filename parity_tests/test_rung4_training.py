"""Rung 4: twenty AdamW steps with schedule, groups, dropped branches and real augmentation: losses and all weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import (
    CONFIG,
    LEARNERS,
    check_control,
    check_difference,
    difference,
    mindspore_learner,
    predict,
    torch_learner,
    transformers_learner,
)
from parity_tests.training_runs import SLOW_IN_MINDSPORE, long
from segformer_core.commands.train import training_stream
from segformer_core.config.keys import Config, DataConfig, LossConfig, OptimizerConfig
from segformer_core.config.load import load_config
from segformer_core.data.dataset import Classes, Dataset, Item
from segformer_core.data.layout import open_dataset
from segformer_core.data.pipeline import TrainingStream
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Batch, Learner
from segformer_core.protocol.masks import draw_keep_masks
from segformer_core.spec.arrays import array_specs, init_arrays
from segformer_core.spec.layers import LayerNorm
from segformer_core.spec.model import segformer
from segformer_core.training.schedule import group_rates, learning_rate

STEPS = 20
SPEC = segformer("b0", class_count=3)
OPTIMIZER = OptimizerConfig(lr=6e-5, warmup_steps=5)


def with_optimizer(optimizer: OptimizerConfig) -> Config:
    return replace(CONFIG, optimizer=optimizer)


RECIPE = with_optimizer(OPTIMIZER)


@pytest.fixture(scope="module")
def batches(tmp_path_factory) -> list[Batch]:
    root = write_folder_dataset(tmp_path_factory.mktemp("data"), images=8, size=(80, 120))
    data = DataConfig(data_path=str(root), base_size=(80, 120), crop_size=(64, 96))
    stream = TrainingStream(open_dataset(str(root), "train"), data, seed=0, batch_size=2, epochs=5)
    samples = [stream[position] for position in range(2 * STEPS)]
    return [tuple(np.stack(part) for part in zip(*samples[i : i + 2], strict=True)) for i in range(0, 2 * STEPS, 2)]


def run(learner: Learner, batches: list[Batch], optimizer: OptimizerConfig = OPTIMIZER) -> list[float]:
    groups = parameter_groups(SPEC, optimizer)
    losses = []
    for step, batch in enumerate(batches):
        rate = learning_rate(step, STEPS, optimizer)
        masks = draw_keep_masks(SPEC, 0, step, range(2))
        losses.append(float(learner.step(batch, masks, group_rates(groups, rate, encoder_frozen=False)).loss))
    return losses


@pytest.mark.compares("mindspore, {mode}", "torch")
@pytest.mark.parametrize("mode", ["graph", pytest.param("pynative", marks=long)])
def test_twenty_steps(mode, batches, need_torch, need_mindspore):
    arrays = init_arrays(SPEC, 0)
    first, second = torch_learner(SPEC, arrays, RECIPE), mindspore_learner(SPEC, arrays, RECIPE, mode)
    assert_same_training(first, second, batches, arrays)


@pytest.mark.compares("mindspore, graph", "torch")
@pytest.mark.parametrize("loss", [pytest.param("ce, dice", marks=long), pytest.param("focal, lovasz", marks=long)])
def test_twenty_steps_of_another_objective(loss, batches, need_torch, need_mindspore):
    arrays, recipe = init_arrays(SPEC, 0), replace(RECIPE, loss=LossConfig(loss=loss))
    first, second = torch_learner(SPEC, arrays, recipe), mindspore_learner(SPEC, arrays, recipe)
    losses = assert_same_training(first, second, batches, arrays)
    other = replace(RECIPE, loss=LossConfig(loss=f"{loss}: 0.98"))
    control = run(torch_learner(SPEC, arrays, other), batches)
    check_control("a fiftieth less of one loss", difference(np.array(control), np.array(losses)), "losses of twenty steps")


def assert_same_training(first: Learner, second: Learner, taken: list[Batch], arrays: dict[str, np.ndarray]) -> list[float]:
    """Raise unless both take the same steps from `arrays`; returns the losses."""
    want, got = run(first, taken), run(second, taken)
    assert np.mean(want[-4:]) < np.mean(want[:4]) - 0.05, f"nothing was learnt: {want}"
    check_difference("losses", difference(np.array(got), np.array(want)), "losses of twenty steps")
    want_arrays, got_arrays = first.arrays(), second.arrays()
    for name, value in want_arrays.items():
        assert not np.array_equal(value, arrays[name]), f"{name} did not move"
        if name == "stages.3.norm.bias":  # only BatchNorm follows, which removes it: the gradient is rounding noise
            continue
        if name.endswith("attn.kv.bias"):  # a key's bias shifts all scores of a query alike: the same
            value, got_arrays[name] = np.split(value, 2)[1], np.split(got_arrays[name], 2)[1]
        found = difference(got_arrays[name], value) / max(1.0, np.abs(value).max())
        check_difference(name, found, "weights after twenty steps")
    return want


@pytest.mark.compares("torch", "transformers")
def test_transformers_network_takes_the_same_twenty_steps(batches, need_torch):
    """It follows the rounding noise in gradients that are 0 but for it, and its weights differ there; its losses do not."""
    spec, arrays = segformer("b0", class_count=3, numerics="hf"), init_arrays(SPEC, 0)
    want, got = (run(make(spec, arrays, RECIPE), batches) for make in (transformers_learner, torch_learner))
    check_difference("losses", difference(np.array(got), np.array(want)), "losses of twenty steps")
    faster = replace(OPTIMIZER, lr=1.1 * OPTIMIZER.lr)
    other = run(transformers_learner(spec, arrays, with_optimizer(faster)), batches, faster)
    check_control("a tenth more learning rate", difference(np.array(got), np.array(other)), "losses of twenty steps")


CONTROLS = {
    "warm-up of 6 steps for 5": OptimizerConfig(lr=6e-5, warmup_steps=6),
    "the head's factor 9.5 for 10": OptimizerConfig(lr=6e-5, warmup_steps=5, head_lr_multiplier=9.5),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_the_comparison_sees(control, batches, need_torch):
    other = CONTROLS[control]
    arrays = init_arrays(SPEC, 0)
    first, second = torch_learner(SPEC, arrays, RECIPE), torch_learner(SPEC, arrays, with_optimizer(other))
    want, got = run(first, batches), run(second, batches, other)
    check_control(control, difference(np.array(got), np.array(want)), "losses of twenty steps")


@pytest.mark.compares("{backend}", "AdamW's definition in float64")
@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)  # the twenty steps hold MindSpore to PyTorch
def test_a_step_is_adamw_with_decoupled_decay(backend, batches, request):
    """Two steps against the definition (arXiv 1711.05101, bias-corrected), from the step's own gradients."""
    request.getfixturevalue(f"need_{backend}")
    from parity_tests.support import gradients

    optimizer = OptimizerConfig(weight_decay=0.5)
    arrays = init_arrays(SPEC, 0)
    learner, probe = (LEARNERS[backend](SPEC, arrays, with_optimizer(optimizer)) for _ in range(2))
    groups = parameter_groups(SPEC, optimizer)
    rates = [1e-3 * group.learning_rate_factor for group in groups]
    moments = dict.fromkeys(arrays, (0.0, 0.0))
    for t in (1, 2):
        masks, before = draw_keep_masks(SPEC, 0, t, range(2)), learner.arrays()
        probe.load_arrays(before)
        _, found = gradients(probe, batches[t], masks)
        learner.step(batches[t], masks, rates)
        after = learner.arrays()
        for group, rate in zip(groups, rates, strict=True):
            for name in group.names:
                g = found[name].astype(np.float64)
                m, v = moments[name]
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                moments[name] = m, v
                update = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
                want = before[name] * (1 - rate * group.weight_decay) - rate * update
                sure = np.abs(g) > 1e-5  # elsewhere rounding of the gradient decides the sign of the step
                check_difference(name, difference(after[name][sure], want[sure]), "one AdamW step")
                if t == 1 and sure.any():
                    plain = before[name] * (1 - rate * group.weight_decay) - rate * m / (np.sqrt(v) + 1e-8)
                    made = difference(after[name][sure], plain[sure])
                    check_control("AdamW without bias correction", made, "one AdamW step", times=100)


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_loaded_weights_replace_those_of_a_running_learner(backend, batches, request):
    request.getfixturevalue(f"need_{backend}")
    arrays = init_arrays(SPEC, 0)
    learner = LEARNERS[backend](SPEC, arrays, RECIPE)
    first = run(learner, batches[:3], replace(OPTIMIZER, lr=1e-3))
    image = batches[0][0][0]
    trained = predict(learner, image, 64, 96)
    learner.load_arrays(arrays)
    assert np.array_equal(learner.arrays()["stages.0.norm.weight"], arrays["stages.0.norm.weight"])
    assert not np.array_equal(predict(learner, image, 64, 96), trained)
    assert run(learner, batches[:1])[0] == first[0]


def test_groups_follow_the_paper():
    groups = {name: group for group in parameter_groups(SPEC, OptimizerConfig()) for name in group.names}
    assert groups.keys() == {array.name for array in array_specs(SPEC) if array.trainable}
    for array in array_specs(SPEC):
        if not array.trainable:
            continue
        group, in_head = groups[array.name], array.name.startswith("decode_head.")
        assert group.learning_rate_factor == (10.0 if in_head else 1.0), array.name
        assert group.weight_decay == (0.0 if isinstance(array.owner, LayerNorm) else 0.01), array.name
    assert groups["decode_head.linear_fuse.bn.weight"].weight_decay == 0.01
    assert groups["stages.0.blocks.0.attn.q.bias"].weight_decay == 0.01


REFERENCE_RATES = {
    0: 6.000000000173e-11,
    1: 4.005970962525e-08,
    10: 4.000345962750e-07,
    100: 3.997555965000e-06,
    750: 2.985940485938e-05,
    1499: 5.939824978963e-05,
    1500: 5.943750000000e-05,
    1501: 5.943712500000e-05,
    40000: 4.500000000000e-05,
    80000: 3.000000000000e-05,
    159999: 3.749999999991e-10,
}
"""Read off the paper's code (mmcv 0.x): lr 6e-5, 160,000 steps, poly power 1, warm-up over 1500 steps from ratio 1e-6."""


@pytest.fixture(scope="module")
def recipe() -> tuple[OptimizerConfig, TrainingStream]:
    """The paper's recipe, as it is shipped, on as many images as Cityscapes has to train on."""
    config = load_config(["--config_path", "configs/segformer.b0.1024x1024.city.yaml"])
    item = Item(Path("image.png"), Path("label.png"), "image")
    cityscapes = Dataset(Path("cityscapes"), "train", Classes(("a",), ((0, 0, 0),)), (item,) * 2975)
    return config.optimizer, training_stream(cityscapes, config)


@pytest.mark.parametrize("step", REFERENCE_RATES)
def test_learning_rate_is_the_papers(step, recipe):
    optimizer, stream = recipe
    assert learning_rate(step, stream.steps, optimizer) == pytest.approx(REFERENCE_RATES[step], rel=1e-12, abs=0)


def test_the_recipes_schedule_is_the_papers(recipe):
    """lr × (1 - step / 160000), and in the first 1500 steps times a line from 1e-6 to 1: in the last one, too."""
    optimizer, stream = recipe
    assert stream.steps == 160_000
    for step in range(160_000):
        wanted = 6e-5 * (1 - step / 160_000) * (1 - (1 - step / 1500) * (1 - 1e-6) if step < 1500 else 1)
        assert abs(learning_rate(step, stream.steps, optimizer) - wanted) <= 1e-15 * 6e-5


def test_masks_depend_on_the_sample_alone_and_keep_the_mean():
    spec = segformer("b2", drop_path_rate=0.4, head_dropout_rate=0.25)
    whole, half = draw_keep_masks(spec, 1, 7, range(4)), draw_keep_masks(spec, 1, 7, range(2, 4))
    assert np.array_equal(whole.paths[:, :, 2:], half.paths) and np.array_equal(whole.channels[2:], half.channels)
    assert not np.array_equal(whole.channels, draw_keep_masks(spec, 1, 8, range(4)).channels)
    assert not np.array_equal(whole.channels, draw_keep_masks(spec, 2, 7, range(4)).channels)
    assert (whole.paths[0] == 1).all(), "the first block is never dropped"
    assert set(np.unique(whole.channels)) == {0, np.float32(1 / 0.75)}
    many = draw_keep_masks(spec, 1, 7, range(400))
    assert many.paths.shape == (16, 2, 400, 1, 1) and many.channels.shape == (400, 768, 1, 1)
    assert many.channels.mean() == pytest.approx(1.0, abs=0.01)
    assert (many.paths[-1] == 0).mean() == pytest.approx(0.4, abs=0.06)
