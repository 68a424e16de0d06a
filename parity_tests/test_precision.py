"""Lower precision in training: what is computed in it and what is not, the loss scale, and steps that overflow."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from parity_tests.ascend.ascend_graphs import small_network
from parity_tests.support import CONFIG, DEVICE, LEARNERS, hot_arrays, random_batch, random_masks
from segformer_core.config.keys import RuntimeConfig
from segformer_core.errors import BackendError
from segformer_core.protocol import loss_scale
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Precision
from segformer_core.spec.arrays import init_arrays

SPEC = small_network()
RATES = [1e-4] * len(parameter_groups(SPEC, CONFIG.optimizer))
FORMS = [("torch", "fp16"), ("torch", "bf16"), ("mindspore", "fp16")]
"""MindSpore has no bf16 kernels for a CPU."""


@functools.cache
def made(backend: str, precision: str):
    """(learner, the optimizer's first arrays): a training graph is compiled once for all tests."""
    config = replace(CONFIG, runtime=RuntimeConfig(device_target=DEVICE, precision=precision))
    learner = LEARNERS[backend](SPEC, init_arrays(SPEC, 0), config)
    return learner, learner.optimizer_arrays()


def learner_in(backend: str, precision: str, arrays=None):
    """As new, with the first weights or `arrays`."""
    learner, first = made(backend, precision)
    if backend == "mindspore":
        import mindspore

        mindspore.set_context(mode=mindspore.GRAPH_MODE)  # a test of the other mode may have come between
    learner.load_arrays(init_arrays(SPEC, 0) if arrays is None else arrays)
    learner.load_optimizer_arrays(first)
    return learner


@pytest.fixture(params=["torch", "mindspore"])
def backend(request) -> str:
    request.getfixturevalue(f"need_{request.param}")
    return request.param


@pytest.mark.parametrize(("backend", "precision"), FORMS)
def test_a_lower_precision_trains_almost_alike(backend, precision, request):
    request.getfixturevalue(f"need_{backend}")
    batch, masks = random_batch(SPEC, 2, 64, 96), random_masks(SPEC, 2)
    low, full = learner_in(backend, precision), learner_in(backend, "fp32")
    losses = [[float(learner.step(batch, masks, RATES).loss) for _ in range(4)] for learner in (low, full)]
    found = np.abs(np.subtract(*losses)).max()
    assert 0 < found < (1e-2 if precision == "bf16" else 2e-3), losses
    assert losses[0][-1] < losses[0][0] - 0.01, "it learns"
    assert all(array.dtype == np.float32 for array in (low.arrays() | low.optimizer_arrays()).values())
    scale = low.optimizer_arrays()["loss_scale"]
    assert scale == (loss_scale.START if precision == "fp16" else 1.0)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_what_stays_in_full_precision_in_torch(precision, need_torch):
    """Inputs of the norms are float32, those of products are not; logits reach the loss as float32."""
    import torch

    learner = learner_in("torch", precision)
    seen: dict[str, set] = {}

    def note(name):
        return lambda _, inputs: seen.setdefault(name, set()).add(inputs[0].dtype)

    kinds = (torch.nn.LayerNorm, torch.nn.BatchNorm2d, torch.nn.Conv2d)
    for module in learner.model.modules():
        kind = next((kind.__name__ for kind in kinds if isinstance(module, kind)), type(module).__name__)
        if kind in ("LayerNorm", "BatchNorm2d", "Conv2d", "Attend", "Gelu"):
            module.register_forward_pre_hook(note(kind))
    learner.training_step.loss.cross_entropy.register_forward_pre_hook(note("CrossEntropy"))
    learner.step(random_batch(SPEC, 2, 64, 96), random_masks(SPEC, 2), RATES)
    low = {"fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    full = {name: {torch.float32} for name in ("LayerNorm", "BatchNorm2d", "CrossEntropy")}
    assert seen == full | {name: {low} for name in ("Attend", "Gelu")} | {"Conv2d": {low}}


def test_what_stays_in_full_precision_in_mindspore(need_mindspore):
    import mindspore

    from parity_tests.support import mindspore_learner

    config = replace(CONFIG, runtime=RuntimeConfig(device_target=DEVICE, precision="fp16"))
    learner = mindspore_learner(SPEC, init_arrays(SPEC, 0), config, mode="pynative")
    learner.model.set_train(True)
    seen: dict[str, set] = {}

    def note(name):
        return lambda _, inputs: seen.setdefault(name, set()).add(str(inputs[0].dtype))

    kinds = {"LayerNormalisation", "BatchNorm", "Convolution", "Attend", "Gelu"}
    for _, cell in learner.model.cells_and_names():
        if type(cell).__name__ in kinds:
            cell.register_forward_pre_hook(note(type(cell).__name__))
    masks = random_masks(SPEC, 2)
    images = mindspore.Tensor(random_batch(SPEC, 2, 64, 96)[0])
    logits = learner.model(images, mindspore.Tensor(masks.paths), mindspore.Tensor(masks.channels))
    assert logits.dtype == mindspore.float16
    full = {"LayerNormalisation", "BatchNorm"}
    assert seen == {name: {"Float32" if name in full else "Float16"} for name in kinds}


def state(learner) -> dict[str, np.ndarray]:
    return learner.arrays() | learner.optimizer_arrays()


def test_an_overflow_changes_nothing_and_halves_the_scale(backend):
    learner, batch, masks = learner_in(backend, "fp16", hot_arrays(SPEC)), random_batch(SPEC, 2, 64, 96), random_masks(SPEC, 2)
    learner.step(batch, masks, RATES)
    start = learner.optimizer_arrays()
    learner.load_optimizer_arrays(start | {"loss_scale": np.float32(loss_scale.LARGEST), "clean_steps": np.float32(7)})
    before = state(learner)
    done = learner.step(batch, masks, RATES)
    assert bool(done.overflowed) and float(done.loss_scale) == loss_scale.LARGEST and float(done.skipped) == 1
    assert np.isfinite(float(done.loss)), "the forward pass was sound"
    after = state(learner)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"loss_scale", "clean_steps", "skipped_steps"}
    assert after["loss_scale"] == loss_scale.LARGEST / loss_scale.FACTOR and after["clean_steps"] == 0
    assert float(learner.step(batch, masks, RATES).skipped) == 2, "skips are counted in a row"
    learner.load_optimizer_arrays(after | {"loss_scale": np.float32(1024)})
    done = learner.step(batch, masks, RATES)
    assert not bool(done.overflowed) and float(done.skipped) == 0 and state(learner)["steps"] == 2


def test_clean_steps_double_the_scale(backend):
    learner, batch, masks = learner_in(backend, "fp16"), random_batch(SPEC, 2, 64, 96), random_masks(SPEC, 2)
    start = learner.optimizer_arrays()
    learner.load_optimizer_arrays(start | {"clean_steps": np.float32(loss_scale.CLEAN_STEPS - 2)})
    scales = [float(learner.step(batch, masks, RATES).loss_scale) for _ in range(3)]
    assert scales == [loss_scale.START, loss_scale.START, 2 * loss_scale.START]
    assert learner.optimizer_arrays()["clean_steps"] == 1


def test_a_batch_that_is_not_finite_leaves_no_trace(backend):
    """In float32 too: neither weights nor moments nor running statistics take up a NaN."""
    learner, (images, labels), masks = learner_in(backend, "fp32"), random_batch(SPEC, 2, 64, 96), random_masks(SPEC, 2)
    learner.step((images, labels), masks, RATES)
    before = state(learner)
    spoilt = images.copy()
    spoilt[0, 0, 5, 5] = np.nan
    done = learner.step((spoilt, labels), masks, RATES)
    assert bool(done.overflowed)  # MindSpore's ReLU makes 0 of NaN: only the gradient shows it
    after = state(learner)
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {"skipped_steps"}
    losses = [float(learner.step((images, labels), masks, RATES).loss)]
    learner.load_arrays({name: before[name] for name in learner.arrays()})
    learner.load_optimizer_arrays({name: before[name] for name in learner.optimizer_arrays()})
    losses.append(float(learner.step((images, labels), masks, RATES).loss))
    assert losses[0] == losses[1], "it goes on as if the batch had not been"


def test_which_precision_a_device_has():
    auto = RuntimeConfig()
    from backend_torch.device import precisions as torch_precisions

    assert torch_precisions(auto, on_cuda=False, has_bf16=False) == Precision("fp32", "fp32")
    assert torch_precisions(auto, on_cuda=True, has_bf16=True) == Precision("fp32", "bf16")
    assert torch_precisions(auto, on_cuda=True, has_bf16=False) == Precision("fp32", "fp16")
    assert torch_precisions(RuntimeConfig(precision="fp16"), on_cuda=False, has_bf16=False) == Precision("fp16", "fp16")
    from backend_mindspore.device import precisions

    assert precisions(auto, "Ascend") == Precision("fp32", "fp16") and precisions(auto, "CPU") == Precision()
    with pytest.raises(BackendError, match="no bf16 kernels for a CPU; use precision fp32 or fp16, or backend_torch"):
        precisions(RuntimeConfig(precision="bf16"), "CPU")
