"""Attention, GELU and upsampling: the three operators whose best form depends on the device.

An Ascend has kernels of its own for attention and upsampling. On a CPU some of MindSpore's gradients (softmax, erf, bilinear
interpolation) are several times slower than matrix products that compute the same; there the products are written out.
"""

import math

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore._c_expression import MSContext

FIRST_ASCEND = "ascend910"
"""MindSpore's name for the first generation of Ascend; its CANN has no fused attention."""


def on(device: str) -> bool:
    """Whether the graph is being built for `device`: "CPU" or "Ascend"."""
    return ms.get_context("device_target") == device


class Attend(nn.Cell):
    """softmax(q kᵀ / √d) v for (B, heads, N, d) queries and (B, heads, M, d) keys and values."""

    def __init__(self, heads: int, fused: bool = True):
        super().__init__()
        self.heads = heads
        self.fused = fused and on("Ascend") and MSContext.get_instance().get_ascend_soc_version() != FIRST_ASCEND
        self.plain = PlainAttend()

    def construct(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.fused and q.dtype in (ms.float16, ms.bfloat16):  # the fused kernel takes no float32
            scale = q.shape[-1] ** -0.5
            return ops.flash_attention_score(q, k, v, self.heads, scalar_value=scale, input_layout="BNSD")
        return self.plain(q, k, v)


class PlainAttend(nn.Cell):
    """`Attend` written out. The backward pass computes the (N, M) probabilities again instead of keeping them."""

    def construct(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ops.BatchMatMul()(self._probabilities(q, k), v)

    def bprop(self, q: Tensor, k: Tensor, v: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scale = q.shape[-1] ** -0.5
        p = self._probabilities(ops.depend(q, dout), k)  # without it the graph's optimiser keeps the forward pass's
        dv = ops.BatchMatMul(transpose_a=True)(p, dout)
        # softmax's gradient is p (dp - Σ p dp) and Σ p dp = Σ dout·out: one more column makes it part of dp's product
        shift = -ops.ReduceSum(keep_dims=True)(dout * out, -1)
        ones = ops.ones_like(v[..., :1])
        dp = ops.BatchMatMul(transpose_b=True)(ops.concat((dout, shift), -1), ops.concat((v, ones), -1))
        ds = p * dp
        dq = ops.BatchMatMul()(ds, k * scale)
        dk = ops.BatchMatMul(transpose_a=True)(ds, q * scale)
        return dq, dk, dv

    def _probabilities(self, q: Tensor, k: Tensor) -> Tensor:
        """(B, heads, N, M)."""
        scores = ops.BatchMatMul(transpose_b=True)(q * q.shape[-1] ** -0.5, k)
        return ops.Softmax(axis=-1)(scores.to(ms.float32)).to(q.dtype)


class Gelu(nn.Cell):
    """`flavour` is the spec's: "erf" (exact) or "tanh"."""

    def __init__(self, flavour: str):
        super().__init__()
        self.approximate = "none" if flavour == "erf" else "tanh"
        self.normal_cdf = NormalCdf() if flavour == "erf" and on("CPU") else None

    def construct(self, x: Tensor) -> Tensor:
        if self.normal_cdf is not None:
            return x * self.normal_cdf(x)
        return ops.gelu(x, approximate=self.approximate)


class NormalCdf(nn.Cell):
    """Φ(x), the standard normal distribution function; its derivative is the density."""

    def construct(self, x: Tensor) -> Tensor:
        return ops.erf(x * math.sqrt(0.5)) * 0.5 + 0.5

    def bprop(self, x: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor]:
        return (dout * ops.exp(x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi)),)


class Upsample(nn.Cell):
    """(B, C, h, w) -> (B, C, *size), bilinear with half-pixel centres.

    `as_products` computes matrix products instead of MindSpore's operator: on a CPU their gradient is the faster one.
    """

    def __init__(self, as_products: bool | None = None):
        super().__init__()
        self.as_products = on("CPU") if as_products is None else as_products

    def construct(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        B, C, h, w = x.shape
        if ops.is_sequence_value_unknown((h, w, *size)):  # a graph for any size
            rows, columns = interpolation_matrix_of_any_size(h, size[0]), interpolation_matrix_of_any_size(w, size[1])
        elif self.as_products:
            rows, columns = interpolation_matrix(h, size[0]), interpolation_matrix(w, size[1])
        else:
            wide = x.to(ms.float32) if x.dtype == ms.bfloat16 else x  # Ascend's kernel takes no bfloat16
            return ops.interpolate(wide, size=size, mode="bilinear", align_corners=False).to(x.dtype)
        x = ops.MatMul(transpose_b=True)(ops.reshape(x, (B * C * h, w)), columns.to(x.dtype))
        rows = ops.broadcast_to(ops.expand_dims(rows.to(x.dtype), 0), (B * C, size[0], h))
        return ops.reshape(ops.BatchMatMul()(rows, ops.reshape(x, (B * C, h, size[1]))), (B, C, *size))


@ms.constexpr
def interpolation_matrix(inputs: int, outputs: int) -> Tensor:
    """(outputs, inputs) float32: one axis of bilinear interpolation with half-pixel centres, edges repeated."""
    centres = np.clip((np.arange(outputs) + 0.5) * (inputs / outputs) - 0.5, 0.0, inputs - 1.0)
    distances = np.abs(centres[:, None] - np.arange(inputs))
    return Tensor(np.maximum(1.0 - distances, 0.0).astype(np.float32))


def interpolation_matrix_of_any_size(inputs: int, outputs: int) -> Tensor:
    """The same for sizes that are known only when the graph runs."""
    unit = 2 * outputs  # a centre is a whole number of 1 / unit: whole numbers keep float32 from rounding it
    centres = ops.clamp((2 * first_numbers(outputs) + 1) * inputs - outputs, 0, (inputs - 1) * unit)
    whole = centres // unit
    steps, rest = ops.expand_dims(whole, 1) - first_numbers(inputs), ops.expand_dims(centres - whole * unit, 1)
    distances = ops.abs(steps.to(ms.float32) + rest.to(ms.float32) / unit)
    return ops.relu(1.0 - distances)


LONGEST_SIDE = 1 << 14
"""The longest side of a feature map, in pixels, that a graph for any size can upsample."""


def first_numbers(count: int) -> Tensor:
    """0 … count - 1. (Ascend's Range takes no count that is known only when the graph runs.)"""
    return ops.slice(Tensor(np.arange(LONGEST_SIDE)), (0,), (count,))
