"""What the rungs share: hot weights, batches, learners of both frameworks, and a comparator that raises."""

import os
from dataclasses import replace
from typing import Any

import numpy as np

from parity_tests.report.records import RECORDS
from parity_tests.tolerances import tolerance
from segformer_core.config.keys import Config, RuntimeConfig
from segformer_core.protocol.groups import SMALLEST_WEIGHT, parameter_groups
from segformer_core.protocol.learner import Batch, Learner, Training
from segformer_core.protocol.masks import KeepMasks, draw_keep_masks
from segformer_core.protocol.plan import Plan, View
from segformer_core.spec.arrays import array_specs
from segformer_core.spec.layers import Conv2d
from segformer_core.spec.model import SegFormer

DEVICE = os.environ.get("SEGFORMER_DEVICE", "CPU")
DEVICES = {
    "torch": DEVICE if DEVICE.lower() != "ascend" else "CPU",
    "mindspore": DEVICE if DEVICE.lower() == "ascend" else "CPU",
}
"""An Ascend is MindSpore's and CUDA is PyTorch's: the other framework stays on the CPU, to be compared with."""
MODES = ("graph", "pynative")
FORMS = (*MODES, "operators")
"""MindSpore's modes, with our own kernels; and its operators alone, in a graph."""
CONFIG = Config(runtime=RuntimeConfig(device_target=DEVICE, precision="fp32"))


def hot_arrays(spec: SegFormer, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that make every array matter: unit gain in each layer, biases, gammas and statistics all away from 0 and 1.

    At initialisation a swapped key and value hides below 0.1; with these it is O(1).
    """
    rng = np.random.default_rng(seed)
    arrays = {}
    for array in array_specs(spec):
        values = rng.standard_normal(array.shape)
        if array.leaf_name == "running_var":
            values = rng.uniform(0.5, 2.0, array.shape)
        elif len(array.shape) > 1:
            values *= np.prod(array.shape[1:]) ** -0.5
        elif array.leaf_name == "weight":
            values = 1.0 + 0.3 * values
        else:
            values *= 0.3
        arrays[array.name] = values.astype(np.float32)
    return arrays


def undecided_arrays(spec: SegFormer, seed: int = 0) -> dict[str, np.ndarray]:
    """`hot_arrays` with which no class wins everywhere."""
    arrays = hot_arrays(spec, seed)
    arrays["decode_head.linear_pred.weight"] -= arrays["decode_head.linear_pred.weight"].mean(1, keepdims=True)
    return arrays


def random_images(batch: int, height: int, width: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """(batch, channels, height, width) float32, unit variance."""
    return np.random.default_rng(seed).standard_normal((batch, channels, height, width)).astype(np.float32)


def random_batch(spec: SegFormer, batch: int, height: int, width: int, seed: int = 0) -> Batch:
    """Random images with random labels, a tenth of them ignored."""
    rng = np.random.default_rng((seed, 1))
    labels = rng.integers(0, spec.class_count, (batch, height, width))
    labels[rng.random(labels.shape) < 0.1] = 255
    return random_images(batch, height, width, seed, spec.in_channels), labels.astype(np.int32)


def random_masks(spec: SegFormer, batch: int, seed: int = 0) -> KeepMasks:
    return draw_keep_masks(spec, seed, 0, range(batch))


def torch_learner(spec: SegFormer, arrays: dict[str, np.ndarray], config: Config = CONFIG, **options) -> Learner:
    from backend_torch.device import connect

    return _learner(connect, spec, arrays, replace(config, runtime=runtime_of("torch", config.runtime)), options)


def mindspore_learner(
    spec: SegFormer, arrays: dict[str, np.ndarray], config: Config = CONFIG, mode: str = "graph", **options
) -> Learner:
    """`mode` is one of FORMS. The execution mode is MindSpore's global state: it holds until the next learner is made."""
    from backend_mindspore.device import connect

    return _learner(connect, spec, arrays, replace(config, runtime=mindspore_runtime(mode, config.runtime)), options)


def mindspore_runtime(form: str, runtime: RuntimeConfig = CONFIG.runtime) -> RuntimeConfig:
    """MindSpore in one of FORMS."""
    mode, kernels = ("graph", "False") if form == "operators" else (form, runtime.compile)
    return replace(runtime_of("mindspore", runtime), execution_mode=mode, compile=kernels)


def runtime_of(framework: str, runtime: RuntimeConfig = CONFIG.runtime) -> RuntimeConfig:
    """`runtime` on the framework's own device."""
    return replace(runtime, device_target=DEVICES[framework])


def _learner(connect, spec, arrays, config, options) -> Learner:
    training = Training(parameter_groups(spec, config.optimizer), options.pop("class_weights", None))
    learner = connect(config.runtime).learner(spec, config, options.pop("log", print), training)
    assert not options, options
    learner.load_arrays(arrays)
    return learner


def transformers_learner(spec: SegFormer, arrays: dict[str, np.ndarray], config: Config = CONFIG, **options) -> Learner:
    """transformers' network in our training loop."""
    from backend_torch.transformers_learner import connect

    return _learner(connect, spec, arrays, replace(config, runtime=runtime_of("torch", config.runtime)), options)


LEARNERS = {"torch": torch_learner, "mindspore": mindspore_learner}


def predict(learner: Learner, image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(C, h, w) -> (height, width) uint8: the whole image, at one scale."""
    size = image.shape[1], image.shape[2]
    return learner.predict([image[None]], Plan((height, width), (View(size, size),)))[0]


def logits(learner: Learner, images: np.ndarray) -> np.ndarray:
    """(B, C, H, W) -> (B, K, H/4, W/4), in inference mode."""
    return _run(learner, images)[-1]


def features(learner: Learner, images: np.ndarray) -> list[np.ndarray]:
    """(B, C, H, W) -> tokens of c1..c4, each (B, H_i·W_i, C_i), in inference mode."""
    return _run(learner, images)[:-1]


def _run(learner: Any, images: np.ndarray) -> list[np.ndarray]:
    if learner.__class__.__module__.startswith("backend_torch"):
        import torch

        learner.model.eval()
        with torch.no_grad():
            tokens, sizes = learner.model.features(torch.from_numpy(images).to(learner.device))
            outputs = [*tokens, learner.model.decode_head(tokens, sizes, None)]
        return [output.cpu().numpy() for output in outputs]
    from mindspore import Tensor

    from parity_tests.mindspore_cells import FeaturesAndLogits

    learner.model.set_train(False)
    return [output.asnumpy() for output in FeaturesAndLogits(learner.model)(Tensor(images))]


def gradients(learner: Any, batch: Batch, masks: KeepMasks) -> tuple[float, dict[str, np.ndarray]]:
    """The training loss and its gradient by every trainable array; the running statistics are updated on the way."""
    inputs = (*batch, masks.paths, masks.channels)
    if learner.__class__.__module__.startswith("backend_torch"):
        import torch

        learner.model.train()
        learner.model.zero_grad()
        total, weight = learner.training_step.loss(*(torch.from_numpy(value).to(learner.device) for value in inputs))
        loss = total / max(weight, SMALLEST_WEIGHT)
        loss.backward()
        found = {name: value.grad.cpu().numpy() for name, value in learner.model.named_parameters()}
        return float(loss.detach()), learner.ours(found) if hasattr(learner, "ours") else found
    from mindspore import Tensor

    from parity_tests.mindspore_cells import Gradients

    learner.model.set_train(True)
    loss, values = Gradients(learner.training_step)(*map(Tensor, inputs))
    names = learner.training_step.optimizer.names
    return float(loss), {name: value.asnumpy() for name, value in zip(names, values, strict=True)}


def output_size(convolution: Conv2d, size: int) -> int:
    """Pixels along one side, in and out."""
    return (size + 2 * convolution.padding - convolution.kernel) // convolution.stride + 1


def difference(got: np.ndarray, want: np.ndarray) -> float:
    """Largest absolute difference; shapes must agree and nothing may be NaN."""
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    assert np.isfinite(got).all() and np.isfinite(want).all(), "values are not finite"
    return float(np.abs(got.astype(np.float64) - want.astype(np.float64)).max()) if got.size else 0.0


def assert_close(name: str, got: np.ndarray, want: np.ndarray, quantity: str) -> None:
    """Raise unless `got` is within the tolerance of `quantity`."""
    check_difference(name, difference(got, want), quantity)


def check_difference(name: str, found: float, quantity: str) -> None:
    """Raise unless `found` is within the tolerance of `quantity`, a row of `tolerances.py`; the report shows the largest."""
    RECORDS.comparison(quantity, name, found, tolerance(quantity, DEVICE))
    _compare(name, found, quantity)


def check_control(changed: str, found: float, quantity: str, times: float = 1.0) -> None:
    """The negative control of a comparison: raise unless it refuses `found`, the difference that a change made.

    `times` asks for more than that: a difference of so many tolerances.
    """
    allowed = tolerance(quantity, DEVICE)
    try:
        _compare(changed, found / times, quantity)
        seen = False
    except AssertionError:
        seen = True
    RECORDS.control(changed, quantity, found, allowed, seen)
    assert seen, (
        f"{changed}: the difference is {found:.3g} and the comparison, {quantity} to {times * allowed:.3g}, did not see it"
    )


def check_exact_control(changed: str, found: float, what: str) -> None:
    """The negative control of a comparison that allows no difference: raise unless a change made one."""
    RECORDS.control(changed, what, found, 0.0, found > 0)
    assert found > 0, f"{changed}: the comparison of {what} did not see it"


def _compare(name: str, found: float, quantity: str) -> None:
    allowed = tolerance(quantity, DEVICE)
    assert found <= allowed, f"{name}: largest difference {found:.3g}, {quantity} allows {allowed:.3g}"


def perturbed(arrays: dict[str, np.ndarray], name: str, amount: float) -> dict[str, np.ndarray]:
    """A copy with the first number of one array shifted: the negative control of a comparison."""
    changed = arrays[name].copy()
    changed.flat[0] += amount
    return {**arrays, name: changed}
