"""The spec's leaves as MindSpore layers: the only file that passes eps, momentum, padding or groups.

The layers are cells of our own over MindSpore's operators. It announces that the constructors of its own (`nn.Conv2d`,
`nn.LayerNorm`, `nn.BatchNorm2d`, `nn.Dense`) change after 2.9: BatchNorm's momentum turns round, and other arguments go.
"""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import initializer

from backend_mindspore.distributed import sum_over_processes, world_size
from backend_mindspore.kernels import Normalise, convolution_as_products, depthwise_kernel, own, transposed
from backend_mindspore.native import cells as native
from backend_mindspore.native.cells import takes
from segformer_core.spec.arrays import ArraySpec
from segformer_core.spec.layers import BatchNorm2d, Conv2d, LayerNorm, Leaf, Linear
from segformer_core.weights.architecture import kind
from segformer_core.weights.dialects.own import MINDSPORE_LEAVES

DTYPES = {"fp32": ms.float32, "fp16": ms.float16, "bf16": ms.bfloat16}


@dataclass(frozen=True)
class Arithmetic:
    """The types that linear layers and convolutions compute in, and whether attention may use the framework's fused kernel."""

    inference: ms.dtype.Type = ms.float32
    training: ms.dtype.Type = ms.float32
    fused_attention: bool = True


FULL_PRECISION = Arithmetic()


@singledispatch
def build(leaf: Leaf) -> Any:
    """The nn.Cell that `leaf` describes; its first values are zeros, to be replaced by `load_arrays`."""
    raise TypeError(f"no layer for {type(leaf).__name__}")


@build.register
def _(leaf: Linear) -> nn.Cell:
    return LinearLayer(leaf)


@build.register
def _(leaf: Conv2d) -> nn.Cell:
    return Convolution(leaf)


@build.register
def _(leaf: LayerNorm) -> nn.Cell:
    return LayerNormalisation(leaf)


@build.register
def _(leaf: BatchNorm2d) -> nn.Cell:
    return BatchNorm(leaf)


def native_name(array: ArraySpec) -> str:
    """MindSpore's name for an array of the spec; in a norm it is gamma, beta, moving_mean or moving_variance."""
    leaves = MINDSPORE_LEAVES.get(kind(array.owner), MINDSPORE_LEAVES[""])
    return array.name.removesuffix(f".{array.leaf_name}") + leaves[array.leaf_name]


def parameter(name: str, *shape: int, value: str = "zeros", trained: bool = True) -> Parameter:
    """Float32 zeros or ones."""
    return Parameter(initializer(value, shape, ms.float32), name=name, requires_grad=trained)


class LinearLayer(nn.Cell):
    """A linear layer; the network computes with its arrays in `linear` and the functions beside it."""

    def __init__(self, leaf: Linear):
        super().__init__()
        self.weight = parameter("weight", leaf.out_features, leaf.in_features)
        self.bias = parameter("bias", leaf.out_features)

    def construct(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., O)."""
        return ops.reshape(linear(ops.reshape(x, (1, -1, x.shape[-1])), self.weight, self.bias), (*x.shape[:-1], -1))


class Convolution(nn.Cell):
    """A convolution that computes in the type of its input; the weights are stored as float32."""

    def __init__(self, leaf: Conv2d):
        super().__init__()
        self.weight = parameter("weight", leaf.out_channels, leaf.in_channels // leaf.groups, leaf.kernel, leaf.kernel)
        self.bias = parameter("bias", leaf.out_channels) if leaf.bias else None
        self.kernel = leaf.kernel
        self.conv2d = ops.Conv2D(
            leaf.out_channels,
            (leaf.kernel, leaf.kernel),
            mode=1,
            pad_mode="pad",
            pad=leaf.padding,
            stride=(leaf.stride, leaf.stride),
            dilation=(1, 1),
            group=leaf.groups,
            data_format="NCHW",
        )
        self.products: Any = convolution_as_products(leaf)
        self.native: Any = depthwise_kernel(leaf)

    def construct(self, x: Tensor) -> Tensor:
        if self.native is not None and takes(x):
            return self.native(x, self.weight, self.bias)
        weight = self.weight.to(x.dtype)
        x = self.conv2d(x, weight) if self.products is None else self.products(x, weight)
        return x if self.bias is None else ops.BiasAdd()(x, self.bias.to(x.dtype))


class LayerNormalisation(nn.Cell):
    """Over the last axis, which holds the features."""

    def __init__(self, leaf: LayerNorm):
        super().__init__()
        self.gamma = parameter("gamma", leaf.features, value="ones")
        self.beta = parameter("beta", leaf.features)
        self.normalise = Normalise(leaf.eps)

    def construct(self, x: Tensor) -> Tensor:
        return self.normalise(x, self.gamma, self.beta)


class BatchNorm(nn.Cell):
    """Batch normalisation; in training its moments are taken over the batches of all processes."""

    def __init__(self, leaf: BatchNorm2d):
        super().__init__()
        self.gamma = parameter("gamma", leaf.features, value="ones")
        self.beta = parameter("beta", leaf.features)
        self.moving_mean = parameter("moving_mean", leaf.features, trained=False)
        self.moving_variance = parameter("moving_variance", leaf.features, value="ones", trained=False)
        self.eps, self.momentum = leaf.eps, leaf.momentum
        self.in_training = ops.BatchNorm(is_training=True, epsilon=leaf.eps, momentum=leaf.momentum, data_format="NCHW")
        self.native: Any = own(native.BatchNorm, leaf.eps)
        self.in_inference = ops.BatchNorm(is_training=False, epsilon=leaf.eps, momentum=leaf.momentum, data_format="NCHW")

    def construct(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float32, in and out. `momentum` is the share of the new batch, as the operator takes it."""
        if not self.training:
            return self.in_inference(x, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
        if world_size() == 1 and self.native is not None and takes(x):
            y, mean, variance = self.native(x, self.gamma, self.beta)
            return self._remember(y, mean, variance, x.size // x.shape[1])
        if world_size() == 1:
            return self.in_training(x, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
        B, C, H, W = x.shape
        mean = sum_over_processes(ops.mean(x, (0, 2, 3))) / world_size()
        centred = x - ops.reshape(mean, (1, C, 1, 1))
        variance = sum_over_processes(ops.mean(ops.square(centred), (0, 2, 3))) / world_size()
        x = centred * ops.reshape(self.gamma * ops.rsqrt(variance + self.eps), (1, C, 1, 1)) + ops.reshape(
            self.beta, (1, C, 1, 1)
        )
        return self._remember(x, mean, variance, B * H * W * world_size())

    def _remember(self, x: Tensor, mean: Tensor, variance: Tensor, count: int) -> Tensor:
        """x, after the moving moments have moved as those of MindSpore's operator do."""
        unbiased = ops.stop_gradient(variance) * (count / (count - 1))
        new_mean = self.moving_mean + (ops.stop_gradient(mean) - self.moving_mean) * self.momentum
        new_variance = self.moving_variance + (unbiased - self.moving_variance) * self.momentum
        x = ops.depend(x, ops.Assign()(self.moving_mean, new_mean))
        return ops.depend(x, ops.Assign()(self.moving_variance, new_variance))


class Mixed(nn.Cell):
    """A cell whose linear layers and convolutions can run in lower precision."""

    def __init__(self, arithmetic: Arithmetic):
        super().__init__()
        self.inference_dtype, self.training_dtype = arithmetic.inference, arithmetic.training

    def low(self, x: Tensor) -> Tensor:
        """Cast `x` to the precision of linear layers; these cast their weights to the type of their input."""
        return x.to(self.training_dtype if self.training else self.inference_dtype)


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H·W, C) -> (B, C, H, W)."""
    B, _, C = tokens.shape
    return ops.reshape(transposed(tokens), (B, C, *size))


def to_tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H·W, C)."""
    B, C, H, W = x.shape
    return transposed(ops.reshape(x, (B, C, H * W)))


def linear(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, N, C) -> (B, N, O)."""
    B, N, C = tokens.shape
    x = ops.MatMul(transpose_b=True)(ops.reshape(tokens, (B * N, C)), weight.to(tokens.dtype))
    return ops.reshape(ops.BiasAdd()(x, bias.to(x.dtype)), (B, N, -1))


def linear_to_map(tokens: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
    """(B, H·W, C) -> (B, O, H, W): `linear` and `to_map` in one matrix product, which transposes for free."""
    B, O = tokens.shape[0], weight.shape[0]
    x = ops.BatchMatMul(transpose_b=True)(_batched(weight.to(tokens.dtype), B), tokens)
    x = ops.reshape(x, (B, O, *size))
    return x if bias is None else ops.BiasAdd()(x, bias.to(x.dtype))


def linear_from_map(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H·W, O): `to_tokens` and `linear` in one matrix product."""
    B, C, H, W = x.shape
    x = ops.BatchMatMul(transpose_a=True, transpose_b=True)(ops.reshape(x, (B, C, H * W)), _batched(weight.to(x.dtype), B))
    return ops.reshape(ops.BiasAdd()(ops.reshape(x, (B * H * W, -1)), bias.to(x.dtype)), (B, H * W, -1))


def pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, O, H, W): a 1×1 convolution; `weight` is (O, C)."""
    B, C, H, W = x.shape
    x = ops.BatchMatMul()(_batched(weight.to(x.dtype), B), ops.reshape(x, (B, C, H * W)))
    return ops.BiasAdd()(ops.reshape(x, (B, -1, H, W)), bias.to(x.dtype))


def reduce_tokens(sr: Convolution, tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H·W, C) -> (B, H/R·W/R, C): the sr convolution, whose R×R patches do not overlap, as a product of patches."""
    B, _, C = tokens.shape
    R = sr.kernel
    h, w = size[0] // R, size[1] // R
    x = ops.reshape(tokens, (B, *size, C))
    if ops.is_sequence_value_unknown(size) or (h * R, w * R) != size:
        x = x[:, : h * R, : w * R]
    x = ops.permute(ops.reshape(x, (B, h, R, w, R * C)), (0, 1, 3, 2, 4))
    weight = ops.reshape(ops.permute(sr.weight, (0, 2, 3, 1)), (C, R * R * C))
    return linear(ops.reshape(x, (B, h * w, R * R * C)), weight, sr.bias)


def _batched(weight: Tensor, batch: int) -> Tensor:
    """(O, C) -> (batch, O, C)."""
    return ops.broadcast_to(ops.unsqueeze(weight, 0), (batch, *weight.shape))
