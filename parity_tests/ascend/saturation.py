"""A device that saturates, emulated on a CPU: the loss scale of a training in fp16 with the device's status, and without it.

An infinite result of a product becomes the largest number of fp16 and NaN becomes 0, in the forward and in the backward pass, and
the emulation keeps the status that such a device has. `python -m parity_tests.ascend.saturation` prints both curves of a scale
that grows after each clean step; ! is a step that was skipped.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from backend_mindspore import layers, model, overflow
from parity_tests.ascend.ascend_graphs import small_network
from parity_tests.support import CONFIG, hot_arrays, mindspore_learner, random_batch, random_masks
from segformer_core.config.keys import Config, RuntimeConfig
from segformer_core.protocol import loss_scale
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Learner

LARGEST = 65504.0
"""The largest number of fp16."""
PRODUCTS = ("linear", "linear_to_map", "linear_from_map", "pointwise")
"""The functions of `layers` that multiply."""
SIZE = 32
SPEC = small_network()


class Device:
    """What it noted since it was asked last. Asking clears it, as `mindspore.amp.all_finite` does."""

    def __init__(self) -> None:
        self.overflowed = False

    def all_finite(self, inputs: tuple[Tensor, ...]) -> Tensor:
        finite, self.overflowed = not self.overflowed, False
        return Tensor(finite)

    def saturated(self, x: Tensor) -> Tensor:
        values = x.asnumpy()
        if np.isfinite(values).all():
            return x
        self.overflowed = True
        return Tensor(np.nan_to_num(values, nan=0.0, posinf=LARGEST, neginf=-LARGEST))


class Saturate(nn.Cell):
    """The identity of what a product takes or gives: its values and their gradients are stored by the device."""

    def __init__(self, device: Device):
        super().__init__()
        self.device = device

    def construct(self, x: Tensor) -> Tensor:
        return self.device.saturated(x)

    def bprop(self, x: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor]:
        return (self.device.saturated(dout),)


@contextmanager
def saturating_device(detected: bool) -> Iterator[Device]:
    """Learners that are made and run within it compute on such a device; `detected`: the step asks for its status."""
    device = Device()
    store = Saturate(device)

    def stored(product: Callable) -> Callable:
        def run(x: Tensor, weight: Tensor, bias: Tensor | None, *size: tuple[int, int]) -> Tensor:
            bias = bias if bias is None else store(bias.to(x.dtype))
            return store(product(store(x), store(weight.to(x.dtype)), bias, *size))

        return run

    def convolve(convolution: layers.Convolution, x: Tensor) -> Tensor:
        x = convolution.conv2d(store(x), store(convolution.weight.to(x.dtype)))
        bias: Any = convolution.bias  # all of them have one
        return store(ops.BiasAdd()(x, store(bias.to(x.dtype))))

    lowered = layers.Mixed.low
    with (
        mock.patch.object(layers.Mixed, "low", lambda cell, x: store(lowered(cell, x))),  # gradients of several products add up
        mock.patch.object(layers.Convolution, "construct", convolve),
        mock.patch.dict(vars(model), {name: stored(getattr(layers, name)) for name in PRODUCTS}),
        mock.patch.object(layers, "linear", stored(layers.linear)),  # `reduce_tokens` calls it
        mock.patch.object(overflow, "first_ascend", lambda: detected),
        mock.patch.object(ms.amp, "all_finite", device.all_finite),
    ):
        yield device


def saturated_steps(
    detected: bool, steps: int, clean_steps: int, first_scale: float, overflowed_before: bool = False
) -> tuple[list[tuple[float, bool]], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(loss scale, overflowed) of each step on one batch, and all arrays of the learner before and after them.

    The scale grows after `clean_steps` clean steps. `overflowed_before`: something else left an overflow in the status.
    """
    with saturating_device(detected) as device, mock.patch.object(loss_scale, "CLEAN_STEPS", clean_steps):
        learner = fp16_learner()
        learner.load_optimizer_arrays(learner.optimizer_arrays() | {"loss_scale": np.array(first_scale, np.float32)})
        before = learner.arrays() | learner.optimizer_arrays()
        rates = [1e-3] * len(parameter_groups(SPEC, CONFIG.optimizer))
        batch, masks = random_batch(SPEC, 2, SIZE, SIZE), random_masks(SPEC, 2)
        device.overflowed = overflowed_before
        done = [learner.step(batch, masks, rates) for _ in range(steps)]
        taken = [(float(step.loss_scale), bool(step.overflowed)) for step in done]
        return taken, before, learner.arrays() | learner.optimizer_arrays()


def fp16_learner() -> Learner:
    """In pynative mode, where the emulation's Python runs with each product."""
    config = Config(runtime=RuntimeConfig(device_target="CPU", precision="fp16"))
    return mindspore_learner(SPEC, hot_arrays(SPEC), config, mode="pynative")


def main() -> None:
    for detected in (True, False):
        print("by the device's status:" if detected else "by the norm of the gradients:")
        steps, *_ = saturated_steps(detected, 20, 1, loss_scale.START)
        print(" ".join(f"2^{np.log2(scale):.0f}{'!' if overflowed else ''}" for scale, overflowed in steps))


if __name__ == "__main__":
    main()
