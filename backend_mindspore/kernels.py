"""What is computed in another form on a CPU than on an Ascend; operators that MindSpore writes otherwise, or that the twin has.

An Ascend has kernels of its own for attention and GELU. On a CPU some of MindSpore's gradients (softmax, erf) are several times
slower than matrix products that compute the same; there the products are written out. Where there is a C++ compiler, kernels of
our own take the place of both (`native`).
"""

import math
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import mindspore as ms
from mindspore import Tensor, mint, nn, ops

from backend_mindspore.convolutions import DepthwiseProducts, PatchProducts
from backend_mindspore.device import AVX2, ISA
from backend_mindspore.native import cells as native
from backend_mindspore.native.cells import takes
from backend_mindspore.native.library import library
from backend_mindspore.products import NARROW, NormaliseRows, ScaledRows, full, transposed_by_unit_matrix
from backend_mindspore.upsampling import UpsampleByOperator, interpolation_matrix, interpolation_matrix_of_any_size
from segformer_core.spec.layers import Conv2d

FIRST_ASCEND = (
    ("get_ascend_soc_version", (), "ascend910"),
    ("ascend_soc_supports_feature", ("amp_loss_scale_train_classic_target",), True),
)
"""How MindSpore is asked for the first generation of Ascend (Atlas training products): method, arguments, answer.

There is no public question. 2.7 to 2.10 have the first of these, 2.10 the second, too, which its `mindspore.amp` asks.
"""


def on(device: str) -> bool:
    """Whether the graph is being built for `device`: "CPU" or "Ascend"."""
    return ms.get_context("device_target") == device


def own(cell: Callable[..., nn.Cell], *arguments: Any) -> nn.Cell | None:
    """A cell that calls a kernel of ours; None where the network that is being made calls none."""
    return cell(*arguments) if on("CPU") and library() else None


def first_ascend() -> bool:
    """Whether the device is an Ascend of the first generation.

    MindSpore has no fused attention and no GELU of one kernel for it, and it has no infinities. Where MindSpore answers none of
    the questions, it is taken for a later one.
    """
    if not on("Ascend"):
        return False
    try:
        from mindspore._c_expression import MSContext
    except ImportError:
        return False
    known = MSContext.get_instance()
    for method, arguments, answer in FIRST_ASCEND:
        if hasattr(known, method):
            return getattr(known, method)(*arguments) == answer
    return False


def no_fused_attention() -> str:
    """Why attention is always written out on this device; empty where fp16 and bf16 have a fused kernel."""
    if not on("Ascend"):
        return "MindSpore has a fused attention for an Ascend alone"
    return "MindSpore has no fused attention for the first Ascend 910" if first_ascend() else ""


def updates_in_buffers() -> bool:
    """Whether weights are updated in buffers of many arrays. On an Ascend a kernel takes longer to start than to update one."""
    return on("Ascend")


@cache  # as oneDNN reads the variable once
def products_are_faster() -> bool:
    """Whether oneDNN may use AVX-512: then products take 0.6 of the time, but convolutions ten times as long."""
    return os.environ.get(ISA) != AVX2


def convolution_as_products(leaf: Conv2d) -> nn.Cell | None:
    """`leaf` as matrix products of its input and its weights; None where MindSpore's operator is to be used."""
    return products_of(leaf) if on("CPU") and products_are_faster() else None


def depthwise_kernel(leaf: Conv2d) -> nn.Cell | None:
    """`leaf` by our own kernel; None where that does not compute it, or where the network is to call none."""
    depthwise = leaf.bias and leaf.groups == leaf.in_channels == leaf.out_channels
    return own(native.Depthwise) if depthwise and (leaf.kernel, leaf.stride, leaf.padding) == (3, 1, 1) else None


def products_of(leaf: Conv2d) -> nn.Cell:
    return DepthwiseProducts(leaf.groups) if leaf.groups > 1 else PatchProducts(leaf.kernel, leaf.stride, leaf.padding)


class Split(nn.Cell):
    """A (sum of `sizes`,) buffer -> its parts of these sizes, one after the other. An Ascend has one kernel for all of them."""

    def __init__(self, sizes: Sequence[int]):
        super().__init__()
        self.sizes = tuple(sizes)
        self.at_once = ops.SplitV(self.sizes, 0, len(self.sizes)) if on("Ascend") else None

    def construct(self, buffer: Tensor) -> tuple[Tensor, ...]:
        return ops.split(buffer, self.sizes) if self.at_once is None else self.at_once(buffer)


class Gelu(nn.Cell):
    """`flavour` is the spec's: "erf" (exact) or "tanh"."""

    def __init__(self, flavour: str):
        super().__init__()
        self.approximate = "none" if flavour == "erf" else "tanh"
        self.one_kernel = on("Ascend") and not first_ascend()
        self.normal_cdf = NormalCdf() if flavour == "erf" and on("CPU") else None
        self.native: Any = own(native.Gelu) if flavour == "erf" else None

    def construct(self, x: Tensor) -> Tensor:
        if self.native is not None and takes(x):
            return self.native(x)
        if self.normal_cdf is not None:
            return x * self.normal_cdf(x)
        if self.one_kernel:
            return mint.nn.functional.gelu(x, approximate=self.approximate)
        return ops.gelu(x, approximate=self.approximate)


class NormalCdf(nn.Cell):
    """Φ(x), the standard normal distribution function; its derivative is the density."""

    def construct(self, x: Tensor) -> Tensor:
        return ops.erf(x * math.sqrt(0.5)) * 0.5 + 0.5

    def bprop(self, x: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor]:
        return (dout * ops.exp(x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi)),)


class Normalise(nn.Cell):
    """LayerNorm of (..., C) float32 over the last axis."""

    def __init__(self, eps: float):
        super().__init__()
        self.norm = ops.LayerNorm(begin_norm_axis=-1, begin_params_axis=-1, epsilon=eps)
        self.in_training = NormaliseRows(eps) if on("CPU") else None
        self.native: Any = own(native.Normalise, eps)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        if self.native is not None and takes(x):
            return ops.reshape(self.native(ops.reshape(x, (-1, x.shape[-1])), gamma, beta), x.shape)
        if self.in_training is not None and self.training:
            return ops.reshape(self.in_training(ops.reshape(x, (-1, x.shape[-1])), gamma, beta), x.shape)
        return self.norm(x, gamma, beta)[0]


class MinusTruth(nn.Cell):
    """(p - onehot(labels)) · slope of (B, K, H, W) p, (B, H, W) int32 labels and float32 slopes, 0 where the label is 255.

    On a CPU MindSpore's OneHot is slow; there the slopes are subtracted at the labels' places.
    """

    def __init__(self):
        super().__init__()
        self.scatters = on("CPU")

    def construct(self, p: Tensor, labels: Tensor, slope: Tensor) -> Tensor:
        if self.scatters:
            B, K, H, W = p.shape
            slopes = ops.BatchMatMul()(ops.broadcast_to(full(K, 1, 1.0), (B, K, 1)), ops.reshape(slope, (B, 1, H * W)))
            places = ops.unsqueeze(ops.where(labels < K, labels, 0), 1)
            slope = ops.unsqueeze(slope, 1)
            return ops.TensorScatterElements(axis=1, reduction="add")(p * ops.reshape(slopes, p.shape), places, -slope)
        slope = ops.unsqueeze(slope, 1)
        truth = ops.OneHot(axis=1)(labels, p.shape[1], Tensor(1.0, ms.float32), Tensor(0.0, ms.float32))
        return (p - truth) * slope


class Upsample(nn.Cell):
    """(B, C, h, w) -> (B, C, *size), bilinear with half-pixel centres.

    On an Ascend it is two matrix products. MindSpore's operator would do but for its gradient, which takes float32 alone there
    and adds in any order. In the training graph of B0 (512×1024, 2 images, fp16) the casts to float32 and back make it 1,313 MB
    read and written in 20 kernels, the products 664 MB in 24. They give the same bits each time, in any precision.
    """

    def __init__(self):
        super().__init__()
        self.by_operator = UpsampleByOperator() if on("CPU") else None
        self.native: Any = own(native.Upsample)

    def construct(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        B, C, h, w = x.shape
        if self.native is not None and takes(x):
            return self.native(x, size)
        if ops.is_sequence_value_unknown((h, w, *size)):  # a graph for any size
            rows, columns = interpolation_matrix_of_any_size(h, size[0]), interpolation_matrix_of_any_size(w, size[1])
        elif self.by_operator is not None:
            return self.by_operator(x, size)
        else:
            rows, columns = interpolation_matrix(h, size[0]), interpolation_matrix(w, size[1])
        x = ops.MatMul(transpose_b=True)(ops.reshape(x, (B * C * h, w)), columns.to(x.dtype))
        rows = ops.broadcast_to(ops.unsqueeze(rows.to(x.dtype), 0), (B * C, size[0], h))
        return ops.reshape(ops.BatchMatMul()(rows, ops.reshape(x, (B * C, h, size[1]))), (B, C, *size))


class Scaled(nn.Cell):
    """x · factor for an x of (B, …) or (B, C, …) and as many factors, with 1 for each of the other axes."""

    def __init__(self):
        super().__init__()
        self.by_rows = ScaledRows() if on("CPU") else None

    def construct(self, x: Tensor, factor: Tensor) -> Tensor:
        if self.by_rows is None or factor.size == 1:
            return x * factor
        return ops.reshape(self.by_rows(ops.reshape(x, (factor.size, -1)), ops.reshape(factor, (-1, 1))), x.shape)


def chosen(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """x if the scalar bool `condition` is true, else y, of the same shape."""
    if one_condition_each():
        condition = ops.broadcast_to(condition, x.shape)
    return ops.Select()(condition, x, y)


@ms.constexpr  # a scalar costs 24 bytes of index on a CPU for each number of x, as long as the graph lives
def one_condition_each() -> bool:
    return on("CPU")


def transposed(x: Tensor) -> Tensor:
    """(B, M, N) -> (B, N, M)."""
    if transposed_by_products() and not ops.is_sequence_value_unknown(x.shape) and min(x.shape[1:]) <= NARROW:
        return transposed_by_unit_matrix(x)
    return ops.permute(x, (0, 2, 1))


@ms.constexpr
def transposed_by_products() -> bool:
    return on("CPU") and products_are_faster()


def add(x: Tensor, y: Tensor) -> Tensor:
    """x + y of one shape."""
    return ops.add(x, y)


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return ops.relu(x)
