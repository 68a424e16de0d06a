"""Attention, GELU and upsampling: the operators that are not written as MindSpore has them; and those that its twin has.

An Ascend has kernels of its own for attention and GELU. On a CPU some of MindSpore's gradients (softmax, erf) are several times
slower than matrix products that compute the same; there the products are written out. Upsampling is two matrix products on every
device.
"""

import math

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, nn, ops

FIRST_ASCEND = (
    ("get_ascend_soc_version", (), "ascend910"),
    ("ascend_soc_supports_feature", ("amp_loss_scale_train_classic_target",), True),
)
"""How MindSpore is asked for the first generation of Ascend (Atlas training products): method, arguments, answer.

There is no public question. 2.7 to 2.10 have the first of these, 2.10 the second, too, which its `mindspore.amp` asks.
"""

MOST_SCORES = 1 << 26
"""The most attention scores that the plain form holds at once where no gradient is asked for: 256 MiB of float32."""


def on(device: str) -> bool:
    """Whether the graph is being built for `device`: "CPU" or "Ascend"."""
    return ms.get_context("device_target") == device


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


class Attend(nn.Cell):
    """softmax(q kᵀ / √d) v for (B, heads, N, d) queries and (B, heads, M, d) keys and values."""

    def __init__(self, heads: int, fused: bool = True):
        super().__init__()
        self.heads = heads
        self.fused = fused and on("Ascend") and not first_ascend()
        self.plain = PlainAttend()

    def construct(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.fused and q.dtype in (ms.float16, ms.bfloat16):  # the fused kernel takes no float32
            scale = q.shape[-1] ** -0.5
            return ops.flash_attention_score(q, k, v, self.heads, scalar_value=scale, input_layout="BNSD")
        if self.training or ops.is_sequence_value_unknown((*q.shape, *k.shape)):
            return self.plain(q, k, v)
        return self._by_blocks(q, k, v)

    def _by_blocks(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The plain form with at most MOST_SCORES scores at once: one block of queries after the other."""
        B, heads, N, _ = q.shape
        rows = max(1, MOST_SCORES // (B * heads * k.shape[2]))
        parts: list[Tensor] = []
        for first in range(0, N, rows):
            block = q if rows >= N else ops.narrow(q, 2, first, min(rows, N - first))
            parts.append(self.plain(ops.depend(block, parts[-1]) if parts else block, k, v))
        return ops.concat(parts, 2) if len(parts) > 1 else parts[0]


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
        self.one_kernel = on("Ascend") and not first_ascend()
        self.normal_cdf = NormalCdf() if flavour == "erf" and on("CPU") else None

    def construct(self, x: Tensor) -> Tensor:
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


class Upsample(nn.Cell):
    """(B, C, h, w) -> (B, C, *size), bilinear with half-pixel centres, as two matrix products.

    MindSpore's operator would do without its gradient: that is slow on a CPU, and on an Ascend it takes float32 alone and adds in
    any order. In the training graph of B0 (512×1024, 2 images, fp16) the casts to float32 and back make it 1,313 MB read and
    written in 20 kernels, the products 664 MB in 24. They give the same bits each time, in any precision.
    """

    def construct(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        B, C, h, w = x.shape
        if ops.is_sequence_value_unknown((h, w, *size)):  # a graph for any size
            rows, columns = interpolation_matrix_of_any_size(h, size[0]), interpolation_matrix_of_any_size(w, size[1])
        else:
            rows, columns = interpolation_matrix(h, size[0]), interpolation_matrix(w, size[1])
        x = ops.MatMul(transpose_b=True)(ops.reshape(x, (B * C * h, w)), columns.to(x.dtype))
        rows = ops.broadcast_to(ops.unsqueeze(rows.to(x.dtype), 0), (B * C, size[0], h))
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
    steps, rest = ops.unsqueeze(whole, 1) - first_numbers(inputs), ops.unsqueeze(centres - whole * unit, 1)
    distances = ops.abs(steps.to(ms.float32) + rest.to(ms.float32) / unit)
    return ops.relu(1.0 - distances)


LONGEST_SIDE = 1 << 14
"""The longest side of a feature map, in pixels, that a graph for any size can upsample."""


def first_numbers(count: int) -> Tensor:
    """0 … count - 1. (Ascend's Range takes no count that is known only when the graph runs.)"""
    return ops.Slice()(Tensor(np.arange(LONGEST_SIDE)), (0,), (count,))


def add(x: Tensor, y: Tensor) -> Tensor:
    """x + y of one shape."""
    return ops.add(x, y)


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return ops.relu(x)
