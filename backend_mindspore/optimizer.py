"""AdamW in MindSpore; `backend_torch/optimizer.py` is its twin."""

from collections.abc import Mapping, Sequence

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops

from segformer_core.config import OptimizerConfig
from segformer_core.training.schedule import ADAM_EPS, ParameterGroup


class AdamW(nn.Cell):
    """Adam with bias correction and decoupled weight decay (arXiv 1711.05101), equal to PyTorch's.

    MindSpore's fused Adam kernel adds eps before the second moment's bias correction; scaling eps by √(1 - beta2^t) undoes
    the difference. (`nn.AdamWeightDecay` has no bias correction at all.)
    """

    def __init__(self, parameters: Mapping[str, Parameter], groups: Sequence[ParameterGroup], config: OptimizerConfig):
        super().__init__()
        names = [name for group in groups for name in group.names]
        self.parameters = ms.ParameterTuple([parameters[name] for name in names])
        self.moments1 = self.parameters.clone(prefix="moment1", init="zeros")
        self.moments2 = self.parameters.clone(prefix="moment2", init="zeros")
        self.group_of = [index for index, group in enumerate(groups) for _ in group.names]
        self.decays = [group.weight_decay for group in groups]
        self.beta1, self.beta2 = config.momentum, config.beta2
        self.steps = Parameter(Tensor(0, ms.float32), name="steps", requires_grad=False)
        self.adam = ops.Adam(use_locking=False, use_nesterov=False)

    def construct(self, gradients: tuple[Tensor, ...], learning_rates: Tensor) -> Tensor:
        """Gradients in the order of `parameters`; (groups,) float32 learning rates -> the number of steps taken."""
        steps = self.steps + 1.0
        power1, power2 = ops.pow(self.beta1, steps), ops.pow(self.beta2, steps)
        eps = ADAM_EPS * ops.sqrt(1.0 - power2)
        for i in range(len(self.parameters)):
            rate = learning_rates[self.group_of[i]]
            decay = self.decays[self.group_of[i]]
            if decay > 0:
                ops.assign(self.parameters[i], self.parameters[i] * (1.0 - rate * decay))
            self.adam(
                self.parameters[i],
                self.moments1[i],
                self.moments2[i],
                power1,
                power2,
                rate,
                self.beta1,
                self.beta2,
                eps,
                gradients[i],
            )
        return ops.assign(self.steps, steps)
