"""AdamW in MindSpore; `backend_torch/optimizer.py` is its twin."""

from collections.abc import Mapping, Sequence

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops

from segformer_core.config import OptimizerConfig
from segformer_core.training.schedule import ADAM_EPS, ParameterGroup

update = ops.MultitypeFuncGraph("update")


@update.register(
    "Function", "Number", "Number", "Tensor", "Tensor", "Tensor", "Tensor", "Tensor", "Tensor", "Tensor", "Tensor", "Tensor"
)
def update_one(adam, beta1, beta2, power1, power2, eps, rate, shrink, parameter, moment1, moment2, gradient):
    """Decay, then Adam, in place. (HyperMap applies it: a loop over a thousand arrays is too deep for the graph parser.)"""
    ops.assign(parameter, parameter * shrink)
    return adam(parameter, moment1, moment2, power1, power2, rate, beta1, beta2, eps, gradient)[0]


class AdamW(nn.Cell):
    """Adam with bias correction and decoupled weight decay (arXiv 1711.05101), equal to PyTorch's.

    MindSpore's fused Adam kernel adds eps before the second moment's bias correction; scaling eps by √(1 - beta2^t) undoes
    the difference. (`nn.AdamWeightDecay` has no bias correction at all.)
    """

    def __init__(self, parameters: Mapping[str, Parameter], groups: Sequence[ParameterGroup], config: OptimizerConfig):
        super().__init__()
        self.parameters = ms.ParameterTuple([parameters[name] for group in groups for name in group.names])
        self.moments1 = self.parameters.clone(prefix="moment1", init="zeros")
        self.moments2 = self.parameters.clone(prefix="moment2", init="zeros")
        ends = [sum(len(group.names) for group in groups[: index + 1]) for index in range(len(groups))]
        self.bounds = list(zip([0, *ends], ends))  # noqa: B905 (the last of the starts has no end)
        self.decays = [group.weight_decay for group in groups]
        self.beta1, self.beta2 = config.momentum, config.beta2
        self.steps = Parameter(Tensor(0, ms.float32), name="steps", requires_grad=False)
        self.adam = ops.Adam(use_locking=False, use_nesterov=False)
        self.map = ops.HyperMap()

    def construct(self, gradients: tuple[Tensor, ...], learning_rates: Tensor) -> Tensor:
        """Gradients in the order of `parameters`; (groups,) float32 learning rates -> the number of steps taken."""
        steps = self.steps + 1.0
        power1, power2 = ops.pow(self.beta1, steps), ops.pow(self.beta2, steps)
        eps = ADAM_EPS * ops.sqrt(1.0 - power2)
        done = ops.assign(self.steps, steps)
        for group, (start, end) in enumerate(self.bounds):
            rate = learning_rates[group]
            shrink = 1.0 - rate * self.decays[group]
            apply = ops.partial(update, self.adam, self.beta1, self.beta2, power1, power2, eps, rate, shrink)
            arrays = self.parameters[start:end], self.moments1[start:end], self.moments2[start:end], gradients[start:end]
            done = ops.depend(done, self.map(apply, *arrays))
        return done
