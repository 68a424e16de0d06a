"""Attention, whole and in heads; `backend_torch/attention.py` is its twin."""

from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from backend_mindspore.kernels import no_fused_attention, own
from backend_mindspore.native import cells as native
from backend_mindspore.native.cells import takes

MOST_SCORES = 1 << 26
"""The most attention scores that the plain form holds at once where no gradient is asked for: 256 MiB of float32."""

MOST_TOKENS = 1 << 19
"""The most queries of the fused attention, by its documentation. In a graph for any size their number is not known."""


class MultiHead(nn.Cell):
    """`Attend` in each head: (B, N, C) queries, (B, M, 2C) keys and values -> (B, N, C)."""

    def __init__(self, features: int, heads: int, fused: bool = True):
        super().__init__()
        self.heads, self.features = heads, features
        self.attend = Attend(heads, fused)
        self.native: Any = own(native.MultiHead, heads)

    def construct(self, q: Tensor, kv: Tensor) -> Tensor:
        if self.native is not None and takes(q):
            return self.native(q, kv)
        B, N, C = q.shape[0], q.shape[1], self.features  # in a graph for any size no number of q's shape is known
        heads, d = self.heads, C // self.heads
        q = ops.permute(ops.reshape(q, (B, N, heads, d)), (0, 2, 1, 3))
        kv = ops.permute(ops.reshape(kv, (B, -1, 2, heads, d)), (2, 0, 3, 1, 4))  # (2, B, heads, M, d): keys, values
        x = self.attend(q, kv[0], kv[1])
        return ops.reshape(ops.permute(x, (0, 2, 1, 3)), (B, N, C))


class Attend(nn.Cell):
    """softmax(q kᵀ / √d) v for (B, heads, N, d) queries and (B, heads, M, d) keys and values."""

    def __init__(self, heads: int, fused: bool = True):
        super().__init__()
        self.heads = heads
        self.fused = fused and not no_fused_attention()
        self.plain = PlainAttend()

    def construct(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        unknown = ops.is_sequence_value_unknown((*q.shape, *k.shape))
        if self.fused and q.dtype in (ms.float16, ms.bfloat16) and (unknown or q.shape[2] <= MOST_TOKENS):
            scale = q.shape[-1] ** -0.5
            return ops.flash_attention_score(q, k, v, self.heads, scalar_value=scale, input_layout="BNSD")
        if self.training or unknown:
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
