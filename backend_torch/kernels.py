"""Attention, GELU, upsampling, and sums of large maps: the operators whose best form depends on the framework."""

import torch
from torch import Tensor, nn

from backend_torch import onednn
from backend_torch.upsampling import UpsampleByOperator


class Attend(nn.Module):
    """softmax(q kᵀ / √d) v for (B, heads, N, d) queries and (B, heads, M, d) keys and values."""

    def __init__(self, fused: bool = True):
        super().__init__()
        self.fused = fused
        self.plain = PlainAttend()

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.fused and onednn.takes_attention(q):
            return onednn.attend(q, k, v)
        if self.fused:
            return nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=0.0, is_causal=False)
        return self.plain(q, k, v)


class PlainAttend(nn.Module):
    """`Attend` written out."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        return torch.softmax(scores.float(), dim=-1).to(v.dtype) @ v


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
