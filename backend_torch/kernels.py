"""GELU, upsampling, and sums of large maps: the operators whose best form depends on the framework."""

import torch
from torch import Tensor, nn

from backend_torch.upsampling import UpsampleByOperator


class Gelu(nn.Module):
    """`flavour` is the spec's: "erf" (exact) or "tanh"."""

    def __init__(self, flavour: str):
        super().__init__()
        self.approximate = "none" if flavour == "erf" else "tanh"

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.gelu(x, approximate=self.approximate)


class Upsample(nn.Module):
    """(B, C, h, w) -> (B, C, *size), bilinear with half-pixel centres.

    On a CPU PyTorch's own gradient takes a tenth to a third of the products' time, and has a fixed order, too.
    """

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if x.requires_grad and x.device.type != "cpu":
            return UpsampleByOperator.apply(x, size)
        return nn.functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=False)


def add(x: Tensor, y: Tensor) -> Tensor:
    """x + y of one shape; x may be overwritten where no gradient is asked for."""
    return x + y if torch.is_grad_enabled() else x.add_(y)


def relu(x: Tensor) -> Tensor:
    """max(x, 0); x may be overwritten where no gradient is asked for."""
    return torch.relu(x) if torch.is_grad_enabled() else x.relu_()
