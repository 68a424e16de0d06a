"""The kernels as MindSpore's cells, each with its gradient; `kernels.py` and `layers.py` say what they compute.

They take float32 of sizes that are known when the graph is compiled. A graph for any size, and fp16, have MindSpore's operators.
"""

from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from backend_mindspore.native.library import library
from segformer_core.protocol.bands import row_mix


def made(cell: Callable[..., nn.Cell], *arguments: Any) -> nn.Cell | None:
    """The cell, where the network that is being made calls the library."""
    return cell(*arguments) if library() else None


def takes(x: Tensor) -> bool:
    """Whether the kernels compute with such an x."""
    return x.dtype == ms.float32 and not ops.is_sequence_value_unknown(x.shape)


def kernel(name: str, out_shape: Callable[..., Any], results: int = 1) -> ops.Custom:
    """The library's function; `out_shape` gives the results' shapes from those of the inputs."""
    dtype = ms.float32 if results == 1 else (ms.float32,) * results
    return ops.Custom(f"{library()}:{name}", out_shape, dtype, func_type="aot")


class Gelu(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.forward = kernel("Gelu", lambda x: x)
        self.backward = kernel("GeluGrad", lambda x, dy: x)

    def construct(self, x: Tensor) -> Tensor:
        return self.forward(x)

    def bprop(self, x: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor]:
        return (self.backward(x, dout),)


class Depthwise(nn.Cell):
    """(B, C, H, W), (C, 1, 3, 3) and (C,) -> (B, C, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.forward = kernel("Depthwise", lambda x, weight, bias: x)
        self.backward = kernel("DepthwiseGrad", lambda x, weight, dy: (x, weight, weight[:1]), results=3)

    def construct(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return self.forward(x, weight, bias)

    def bprop(self, x: Tensor, weight: Tensor, bias: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, ...]:
        return self.backward(x, weight, dout)


class Normalise(nn.Cell):
    """(N, C), (C,) and (C,) -> (N, C)."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = Tensor(np.array([eps], np.float32))
        self.forward = kernel("Normalise", lambda x, gamma, beta, eps: x)
        self.backward = kernel("NormaliseGrad", lambda x, gamma, dy, eps: (x, gamma, gamma), results=3)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return self.forward(x, gamma, beta, self.eps)

    def bprop(self, x: Tensor, gamma: Tensor, beta: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, ...]:
        return self.backward(x, gamma, dout, self.eps)


class Attend(nn.Cell):
    """(B, heads, N, d) queries, (B, heads, M, d) keys and values -> (B, heads, N, d). No scores are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.forward = kernel("Attend", lambda q, k, v: q)
        self.backward = kernel("AttendGrad", lambda q, k, v, out, dout: (q, k, v), results=3)

    def construct(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.forward(q, k, v)

    def bprop(self, q: Tensor, k: Tensor, v: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, ...]:
        return self.backward(q, k, v, out, dout)


class Upsample(nn.Cell):
    """(B, C, h, w) -> (B, C, *size)."""

    def __init__(self) -> None:
        super().__init__()
        self.forward = kernel("Upsample", lambda x, rows, columns: [*x[:2], rows[1], columns[1]])
        self.backward = kernel("UpsampleGrad", lambda dy, rows, columns, h, w: [*dy[:2], *h, *w])

    def construct(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return self.forward(x, axis(x.shape[2], size[0]), axis(x.shape[3], size[1]))

    def bprop(self, x: Tensor, size: tuple[int, int], out: Tensor, dout: Tensor) -> tuple[Tensor, tuple[int, int]]:
        h, w = x.shape[2], x.shape[3]
        return self.backward(dout, axis(h, size[0]), axis(w, size[1]), length(h), length(w)), size


@ms.constexpr
def axis(inputs: int, outputs: int) -> Tensor:
    """(2, outputs): the input before each output, and the share of the one behind it."""
    mix = row_mix(inputs, outputs, 0, outputs)
    return Tensor(np.stack([mix.first + mix.low, mix.share[:, 0]]).astype(np.float32))


@ms.constexpr
def length(count: int) -> Tensor:
    """A kernel reads sizes off its arrays."""
    return Tensor(np.zeros(count, np.float32))
