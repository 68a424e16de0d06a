"""Moving averages of the weights (`ema_decay`); `backend_torch/average.py` is its twin."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops

from segformer_core.protocol.average import FIRST, LATER, PREFIX

move = ops.MultitypeFuncGraph("move")


@move.register("Tensor", "Tensor", "Tensor")
def _(rate, average, weight):
    return ops.AssignAdd()(average, (weight - average) * rate)


class Average(nn.Cell):
    """After each step average ← d · average + (1 - d) · weight, with the decay d of `protocol/average.py`.

    `weights` are the network's own arrays: its parameters, and BatchNorm's running statistics. A skipped step changes nothing.
    """

    def __init__(self, weights: Mapping[str, Parameter], decay: float):
        super().__init__()
        self.names, self.decay = list(weights), decay
        self.weights = ms.ParameterTuple(list(weights.values()))
        self.averages = self.weights.clone(prefix="average", init="same")
        for average in self.averages:
            average.requires_grad = False
        self.map = ops.HyperMap()

    def construct(self, steps: Tensor, finite: Tensor) -> Tensor:
        """`steps`: the number of steps taken so far, this one among them unless it is skipped because it is not `finite`."""
        decay = ops.minimum((FIRST + steps) / (LATER + steps), self.decay)
        rate = ops.where(finite, 1.0 - decay, 0.0)
        return ops.depend(steps, self.map(ops.partial(move, rate), self.averages, self.weights))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within this block the network has the averages; after it, its own weights, bit for bit."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for average, weight in zip(self.averages, self.weights, strict=True):
            kept = weight.asnumpy().copy()
            weight.set_data(Tensor(average.asnumpy().copy()))
            average.set_data(Tensor(kept))

    def arrays(self) -> dict[str, Parameter]:
        """average.NAME of every array of the network."""
        return {PREFIX + name: average for name, average in zip(self.names, self.averages, strict=True)}

    def load(self, arrays: Mapping[str, Tensor]) -> None:
        """Take over what `arrays` gives."""
        for name, average in self.arrays().items():
            average.set_data(arrays[name])
