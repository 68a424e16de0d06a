"""LayerNorm's gradient, scaling and transposing as matrix products, which are faster on a CPU and need less memory.

MindSpore's operators that broadcast keep 16 bytes there for each number of their result as long as the graph lives, and Transpose
keeps 8: they are indices. `kernels.py` chooses the form.
"""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

NARROW = 160
"""The most channels for which a product with the unit matrix is faster than Transpose."""


class NormaliseRows(nn.Cell):
    """`Normalise` of (N, C). The gradient is matrix products, faster than MindSpore's own; only the input is kept for it."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps
        self.norm = ops.LayerNorm(begin_norm_axis=-1, begin_params_axis=-1, epsilon=eps)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return self.norm(x, gamma, beta)[0]

    def bprop(self, x: Tensor, gamma: Tensor, beta: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        N, C = x.shape
        unit, _, variance = self.norm(ops.depend(x, dout), ops.ones_like(gamma), ops.zeros_like(beta))
        product, column, ones = dout * unit, ops.unsqueeze(gamma, 1), full(1, N, 1.0)
        # dx = (g - mean g - unit · mean(g unit)) / σ where g = dout · gamma; a mean is a product with a matrix of 1 / C
        mean = full(C, C, 1.0 / C)
        centred = ops.MatMul()(dout, scaled_rows(unit_matrix(C) - mean, column))
        centred = centred - unit * ops.MatMul()(product, scaled_rows(mean, column))
        dx = scaled_rows(centred, ops.rsqrt(variance + self.eps))
        return dx, ops.reshape(ops.MatMul()(ones, product), (C,)), ops.reshape(ops.MatMul()(ones, dout), (C,))


class ScaledRows(nn.Cell):
    """(N, C) x and (N, 1) factors -> x · factor. The factors have no gradient."""

    def construct(self, x: Tensor, factor: Tensor) -> Tensor:
        return scaled_rows(x, factor)

    def bprop(self, x: Tensor, factor: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, Tensor]:
        return scaled_rows(dout, ops.depend(factor, dout)).to(x.dtype), ops.zeros_like(factor)


def scaled_rows(x: Tensor, factor: Tensor) -> Tensor:
    """(N, C) · (N, 1), which is stretched by a matrix product."""
    return x * ops.MatMul()(factor, full(1, x.shape[1], 1.0))


def transposed_by_unit_matrix(x: Tensor) -> Tensor:
    """(B, M, N) -> (B, N, M), exactly."""
    B, M, N = x.shape
    size = min(M, N)
    unit = ops.broadcast_to(ops.unsqueeze(unit_matrix(size).to(x.dtype), 0), (B, size, size))
    return ops.BatchMatMul(transpose_a=True)(x, unit) if size == M else ops.BatchMatMul(transpose_b=True)(unit, x)


@ms.constexpr
def full(rows: int, columns: int, value: float) -> Tensor:
    return Tensor(np.full((rows, columns), value, np.float32))


@ms.constexpr  # one called `identity` would be taken for the compiler's own function
def unit_matrix(size: int) -> Tensor:
    return Tensor(np.eye(size, dtype=np.float32))
