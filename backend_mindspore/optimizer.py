"""AdamW and the loss scale in MindSpore; `backend_torch/optimizer.py` is its twin."""

from collections.abc import Mapping, Sequence
from typing import Any

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops

from backend_mindspore import kernels
from backend_mindspore.buffers import Buffers
from segformer_core.config.keys import OptimizerConfig
from segformer_core.protocol import loss_scale
from segformer_core.protocol.groups import ADAM_EPS, ParameterGroup

update, fill = ops.MultitypeFuncGraph("update"), ops.MultitypeFuncGraph("fill")


@update.register(*("Function", *("Tensor",) * 13))
def update_one(adam, beta1, beta2, power1, power2, eps, rate, shrink, factor, finite, parameter, moment1, moment2, gradient):
    """Decay, then Adam, in place. (HyperMap applies it: a loop over a thousand arrays is too deep for the graph parser.)"""
    gradient = kernels.chosen(finite, gradient * factor, ops.zeros_like(gradient))
    ops.Assign()(parameter, parameter * shrink)
    return adam(parameter, moment1, moment2, power1, power2, rate, beta1, beta2, eps, gradient)[0]


@fill.register("Tensor", "Tensor")
def _(buffer, value):
    return ops.Assign()(buffer, value)


class AdamW(nn.Cell):
    """Adam with bias correction and decoupled weight decay (arXiv 1711.05101), equal to PyTorch's; skips without a branch.

    MindSpore's fused Adam kernel adds eps before the second moment's bias correction; scaling eps by √(1 - beta2^t) undoes
    the difference. (`nn.AdamWeightDecay` has no bias correction at all.) On an Ascend it updates buffers of many parameters: most
    parameters are small, and starting a kernel for each would take longer than the kernels.
    """

    def __init__(self, parameters: Mapping[str, Parameter], groups: Sequence[ParameterGroup], config: OptimizerConfig):
        super().__init__()
        self.names = [name for group in groups for name in group.names]
        self.parameters = ms.ParameterTuple([parameters[name] for name in self.names])
        ends = [sum(len(group.names) for group in groups[: index + 1]) for index in range(len(groups))]
        self.bounds = list(zip([0, *ends], ends))  # noqa: B905 (the last of the starts has no end)
        self.in_buffers: Any = Buffers(self.parameters, self.bounds) if kernels.updates_in_buffers() else None
        self.updated = self.parameters
        if self.in_buffers is not None:
            self.updated, self.bounds = self.in_buffers.contents, self.in_buffers.bounds
        self.moments1 = self.updated.clone(prefix="moment1", init="zeros")
        self.moments2 = self.updated.clone(prefix="moment2", init="zeros")
        self.decays = [group.weight_decay for group in groups]
        self.beta1, self.beta2 = config.momentum, config.beta2
        self.steps = Parameter(Tensor(0, ms.float32), name="steps", requires_grad=False)
        self.adam = ops.Adam(use_locking=False, use_nesterov=False)
        self.map = ops.HyperMap()

    def gathered(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Gradients in the order of `parameters` -> in that of `updated`: the parameters themselves, or buffers of several."""
        return gradients if self.in_buffers is None else self.in_buffers.gathered(gradients)

    def construct(self, gradients: tuple[Tensor, ...], learning_rates: Tensor, factor: Tensor, finite: Tensor) -> Tensor:
        """One step along the `gathered` gradients times `factor`, or none at all if not `finite`.

        (groups,) float32 learning rates -> the number of steps taken. A skipped step has rate 0 and keeps the moments.
        """
        taken = ops.Cast()(finite, ms.float32)
        steps = self.steps + taken
        beta1, beta2 = 1.0 - taken * (1.0 - self.beta1), 1.0 - taken * (1.0 - self.beta2)
        counted = ops.maximum(steps, 1.0)
        power1, power2 = ops.pow(self.beta1, counted), ops.pow(self.beta2, counted)
        eps = ADAM_EPS * ops.sqrt(1.0 - power2)
        done = ops.Assign()(self.steps, steps)
        if self.in_buffers is not None:
            done = ops.depend(done, self.map(fill, self.updated, self.in_buffers.gathered(self.parameters)))
        for group, (start, end) in enumerate(self.bounds):
            rate = learning_rates[group] * taken
            shrink = 1.0 - rate * self.decays[group]
            apply = ops.partial(update, self.adam, beta1, beta2, power1, power2, eps, rate, shrink, factor, finite)
            arrays = self.updated[start:end], self.moments1[start:end], self.moments2[start:end], gradients[start:end]
            done = ops.depend(done, self.map(apply, *arrays))
        if self.in_buffers is not None:
            done = self.in_buffers.spread(done, self.parameters, self.updated)
        return done

    def arrays(self) -> dict[str, Tensor]:
        """moment1.NAME and moment2.NAME of every parameter, and the number of steps taken."""
        arrays: dict[str, Tensor] = {"steps": self.steps}
        for kind, moments in self._moments().items():
            each = moments if self.in_buffers is None else self.in_buffers.apart(moments)
            arrays |= {f"{kind}.{name}": moment for name, moment in zip(self.names, each, strict=True)}
        return arrays

    def load(self, arrays: Mapping[str, Tensor]) -> None:
        """Take over what `arrays` gives."""
        self.steps.set_data(arrays["steps"])
        for kind, moments in self._moments().items():
            for moment, given in zip(moments, self.gathered(tuple(arrays[f"{kind}.{name}"] for name in self.names)), strict=True):
                moment.set_data(given)

    def _moments(self) -> dict[str, ms.ParameterTuple]:
        return {"moment1": self.moments1, "moment2": self.moments2}


class LossScale(nn.Cell):
    """The factor on the loss before its gradient is taken. It stays on the device."""

    def __init__(self, precision: str):
        super().__init__()
        self.dynamic = precision == "fp16"
        self.value = Parameter(Tensor(loss_scale.first_scale(precision), ms.float32), name="loss_scale", requires_grad=False)
        self.clean_steps = Parameter(Tensor(0, ms.float32), name="clean_steps", requires_grad=False)
        self.skipped_steps = Parameter(Tensor(0, ms.float32), name="skipped_steps", requires_grad=False)

    def construct(self, finite: Tensor) -> Tensor:
        """Update the scale after a step; `finite`: every gradient was finite -> the steps skipped in a row."""
        skipped = ops.where(finite, ops.zeros_like(self.skipped_steps), self.skipped_steps + 1.0)
        skipped = ops.depend(skipped, ops.Assign()(self.skipped_steps, skipped))
        if not self.dynamic:
            return skipped
        clean = ops.where(finite, self.clean_steps + 1.0, ops.zeros_like(self.clean_steps))
        grows = clean >= loss_scale.CLEAN_STEPS
        grown = ops.where(grows, self.value * loss_scale.FACTOR, self.value + 0.0)
        value = ops.where(finite, grown, self.value / loss_scale.FACTOR)
        skipped = ops.depend(skipped, ops.Assign()(self.value, ops.clamp(value, loss_scale.SMALLEST, loss_scale.LARGEST)))
        return ops.depend(skipped, ops.Assign()(self.clean_steps, ops.where(grows, ops.zeros_like(clean), clean)))

    def arrays(self) -> dict[str, Parameter]:
        return {"loss_scale": self.value, "clean_steps": self.clean_steps, "skipped_steps": self.skipped_steps}

    def load(self, arrays: Mapping[str, Tensor]) -> None:
        """Take over what `arrays` gives."""
        for name, parameter in self.arrays().items():
            parameter.set_data(arrays[name])
