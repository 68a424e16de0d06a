"""The spec's leaves as PyTorch layers: the only file that passes eps, momentum, padding or groups."""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn

from backend_torch import onednn
from backend_torch.distributed import sum_over_processes, world_size
from segformer_core.spec.layers import BatchNorm2d, Conv2d, LayerNorm, Leaf, Linear

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Arithmetic:
    """The types that linear layers and convolutions compute in, and whether attention may use the framework's fused kernel."""

    inference: torch.dtype = torch.float32
    training: torch.dtype = torch.float32
    fused_attention: bool = True


FULL_PRECISION = Arithmetic()


@singledispatch
def build(leaf: Leaf) -> Any:
    """The nn.Module that `leaf` describes (Any: PyTorch does not type its attributes).

    Its first values are PyTorch's, to be replaced by `load_arrays`.
    """
    raise TypeError(f"no layer for {type(leaf).__name__}")


@build.register
def _(leaf: Linear) -> nn.Module:
    return nn.Linear(leaf.in_features, leaf.out_features, bias=True)


@build.register
def _(leaf: Conv2d) -> nn.Module:
    return Convolution(
        leaf.in_channels,
        leaf.out_channels,
        leaf.kernel,
        stride=leaf.stride,
        padding=leaf.padding,
        dilation=1,
        groups=leaf.groups,
        bias=leaf.bias,
        padding_mode="zeros",
    )


@build.register
def _(leaf: LayerNorm) -> nn.Module:
    return nn.LayerNorm(leaf.features, eps=leaf.eps, elementwise_affine=True, bias=True)


@build.register
def _(leaf: BatchNorm2d) -> nn.Module:
    layer = BatchNorm(leaf.features, eps=leaf.eps, momentum=leaf.momentum, affine=True, track_running_stats=True)
    layer.num_batches_tracked = None  # a counter that nothing reads once momentum is set; the spec does not carry it
    return layer


class Convolution(nn.Conv2d):
    """A convolution that computes in the type of its input; the weights are stored as float32."""

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.dtype == x.dtype:  # no cast that does nothing: in PyTorch 2.7's ONNX files it takes the array's name
            return super().forward(x)
        return self._conv_forward(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation; in training its moments are taken over the batches of all processes."""

    momentum: float
    running_mean: Tensor
    running_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float32, in and out."""
        if not self.training or world_size() == 1:
            return super().forward(x)
        mean = sum_over_processes(x.mean((0, 2, 3))) / world_size()
        centred = x - mean[:, None, None]
        variance = sum_over_processes(centred.square().mean((0, 2, 3))) / world_size()
        count = x.numel() // x.shape[1] * world_size()
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centred * scale[:, None, None] + self.bias[:, None, None]


class Mixed(nn.Module):
    """A module whose linear layers and convolutions can run in lower precision."""

    def __init__(self, arithmetic: Arithmetic):
        super().__init__()
        self.inference_dtype, self.training_dtype = arithmetic.inference, arithmetic.training

    def low(self, x: Tensor) -> Tensor:
        """Cast `x` to the precision of linear layers; these cast their weights to the type of their input."""
        return x.to(self.training_dtype if self.training else self.inference_dtype)


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H·W, C) -> (B, C, H, W): a view, since maps are kept channels-last in memory."""
    B, _, C = tokens.shape
    return tokens.reshape(B, *size, C).permute(0, 3, 1, 2)


def to_tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H·W, C)."""
    B, C, _, _ = x.shape
    return x.permute(0, 2, 3, 1).reshape(B, -1, C)


def linear(tokens: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(B, N, C) -> (B, N, O)."""
    if onednn.takes(tokens) and weight.dtype == tokens.dtype:
        return onednn.linear(tokens, weight, bias)
    return nn.functional.linear(tokens, weight.to(tokens.dtype), None if bias is None else bias.to(tokens.dtype))


def linear_to_map(tokens: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
    """(B, H·W, C) -> (B, O, H, W)."""
    return to_map(linear(tokens, weight, bias), size)


def linear_from_map(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H·W, O)."""
    return linear(to_tokens(x), weight, bias)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, O, H, W): a 1×1 convolution; `weight` is (O, C)."""
    return to_map(linear(to_tokens(x), weight, bias), (x.shape[2], x.shape[3]))


def reduce_tokens(sr: nn.Conv2d, tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H·W, C) -> (B, H/R·W/R, C): the sr convolution."""
    return to_tokens(sr(to_map(tokens, size)))
