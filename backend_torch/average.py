"""Moving averages of the weights (`ema_decay`); `backend_mindspore/average.py` is its twin."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from segformer_core.protocol.average import FIRST, LATER, PREFIX


class Average:
    """After each step average ← d · average + (1 - d) · weight, with the decay d of `protocol/average.py`.

    `weights` are the network's own tensors: its parameters, and BatchNorm's running statistics. A skipped step changes nothing.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float):
        self.weights, self.decay = dict(weights), decay
        self.averages = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def __call__(self, steps: Tensor, finite: Tensor) -> None:
        """`steps`: the number of steps taken so far, this one among them unless it is skipped because it is not `finite`."""
        decay = ((FIRST + steps) / (LATER + steps)).clamp(max=self.decay)
        rate = torch.where(finite, 1.0 - decay, 0.0)
        for name, average in self.averages.items():
            average.add_((self.weights[name] - average) * rate)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within this block the network has the averages; after it, its own weights, bit for bit."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, average in self.averages.items():
            weight = self.weights[name].clone()
            self.weights[name].copy_(average)
            average.copy_(weight)

    def arrays(self) -> dict[str, Tensor]:
        """average.NAME of every array of the network."""
        return {PREFIX + name: average for name, average in self.averages.items()}

    def load(self, arrays: Mapping[str, Tensor]) -> None:
        """Take over what `arrays` gives."""
        for name, average in self.averages.items():
            average.copy_(arrays[PREFIX + name])
