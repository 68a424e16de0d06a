"""The four kinds of layer a SegFormer is made of, as data: every constant is explicit, and so is how each array starts.

No framework default may decide a number, so a backend's `build` reads all of them from here. Shapes follow PyTorch's
layout: a linear weight is (out, in), a convolution weight (out, in / groups, kernel, kernel).
"""

import math
from dataclasses import dataclass
from typing import Literal

Init = Literal["trunc_normal", "fan_out_normal", "fan_in_uniform"]
"""First values of weight and bias, as in the paper's code:

trunc_normal    weight N(0, 0.02²), bias 0: linear layers of the encoder
fan_out_normal  weight N(0, 2 / fan_out), bias 0: convolutions of the encoder and of the fusion
fan_in_uniform  weight and bias U(-1/√fan_in, 1/√fan_in): the head's other layers, which the paper's code leaves to PyTorch
"""


@dataclass(frozen=True)
class Linear:
    """y = x Wᵀ + b over the last axis."""

    in_features: int
    out_features: int
    init: Init = "trunc_normal"

    @property
    def fan_in(self) -> int:
        return self.in_features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}


@dataclass(frozen=True)
class Conv2d:
    """Square kernel, zero padding of `padding` pixels on each side, output size rounded down."""

    in_channels: int
    out_channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    bias: bool = True
    init: Init = "fan_out_normal"

    @property
    def fan_in(self) -> int:
        return self.in_channels // self.groups * self.kernel**2

    @property
    def fan_out(self) -> int:
        return self.out_channels // self.groups * self.kernel**2

    def shapes(self) -> dict[str, tuple[int, ...]]:
        weight = (self.out_channels, self.in_channels // self.groups, self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.out_channels,)} if self.bias else {"weight": weight}


@dataclass(frozen=True)
class LayerNorm:
    """Normalises the last axis."""

    features: int
    eps: float

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.features,), "bias": (self.features,)}


@dataclass(frozen=True)
class BatchNorm2d:
    """Normalises each channel over batch and pixels; `momentum` is the share of the new batch in the running statistics.

    The running variance takes the unbiased estimate, the normalisation the biased one, as in PyTorch.
    """

    features: int
    eps: float = 1e-5
    momentum: float = 0.1

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (self.features,))


Leaf = Linear | Conv2d | LayerNorm | BatchNorm2d

RUNNING_STATISTICS = frozenset({"running_mean", "running_var"})
"""Arrays that training updates without a gradient."""


def fan_out_std(leaf: Conv2d) -> float:
    """Standard deviation of `fan_out_normal`."""
    return math.sqrt(2.0 / leaf.fan_out)
