"""The spec's leaves as PyTorch layers: the only file that passes eps, momentum, padding or groups."""

from functools import singledispatch

from torch import Tensor, nn

from segformer_core.spec.layers import BatchNorm2d, Conv2d, LayerNorm, Leaf, Linear


@singledispatch
def build(leaf: Leaf) -> nn.Module:
    """The layer that `leaf` describes; its first values are PyTorch's, to be replaced by `load_arrays`."""
    raise TypeError(f"no layer for {type(leaf).__name__}")


@build.register
def _(leaf: Linear) -> nn.Module:
    return nn.Linear(leaf.in_features, leaf.out_features, bias=True)


@build.register
def _(leaf: Conv2d) -> nn.Module:
    return nn.Conv2d(
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
    layer = nn.BatchNorm2d(leaf.features, eps=leaf.eps, momentum=leaf.momentum, affine=True, track_running_stats=True)
    layer.num_batches_tracked = None  # a counter that nothing reads once momentum is set; the spec does not carry it
    return layer


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H·W, C) -> (B, C, H, W): a view, since maps are kept channels-last in memory."""
    B, _, C = tokens.shape
    return tokens.reshape(B, *size, C).permute(0, 3, 1, 2)


def to_tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H·W, C)."""
    B, C, _, _ = x.shape
    return x.permute(0, 2, 3, 1).reshape(B, -1, C)


def linear(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, N, C) -> (B, N, O)."""
    return nn.functional.linear(tokens, weight, bias)


def linear_to_map(tokens: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
    """(B, H·W, C) -> (B, O, H, W)."""
    return to_map(nn.functional.linear(tokens, weight, bias), size)


def linear_from_map(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H·W, O)."""
    return nn.functional.linear(to_tokens(x), weight, bias)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, O, H, W): a 1×1 convolution; `weight` is (O, C)."""
    return to_map(nn.functional.linear(to_tokens(x), weight, bias), (x.shape[2], x.shape[3]))


def reduce_tokens(sr: nn.Conv2d, tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H·W, C) -> (B, H/R·W/R, C): the sr convolution."""
    return to_tokens(sr(to_map(tokens, size)))
