"""The kernels as MindSpore's cells, each with its gradient; those that hold them say what they compute.

They take float32 of sizes that are known when the graph is compiled. A graph for any size, and what is computed in fp16, have
MindSpore's operators.
"""

from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from backend_mindspore.native.library import library
from segformer_core.protocol.bands import row_mix


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


class MultiHead(nn.Cell):
    """(B, N, C) queries, (B, M, 2C) keys and values -> (B, N, C). No scores are kept."""

    def __init__(self, heads: int):
        super().__init__()
        self.heads = Tensor(np.zeros(heads, np.float32))
        self.forward = kernel("Attend", lambda q, kv, heads: q)
        self.backward = kernel("AttendGrad", lambda q, kv, heads, out, dout: (q, kv), results=2)

    def construct(self, q: Tensor, kv: Tensor) -> Tensor:
        return self.forward(q, kv, self.heads)

    def bprop(self, q: Tensor, kv: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, ...]:
        return self.backward(q, kv, self.heads, out, dout)


class CrossEntropy(nn.Cell):
    """(B, K, H, W) logits, (B, H, W) int32 labels -> (B, H, W): -log p of the label; 0 where it is 255."""

    def __init__(self) -> None:
        super().__init__()
        self.forward = kernel("CrossEntropy", lambda logits, labels: labels)
        self.backward = kernel("CrossEntropyGrad", lambda logits, labels, slopes: logits)

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.forward(logits, labels)

    def gradient(self, logits: Tensor, labels: Tensor, slopes: Tensor) -> Tensor:
        """By the logits, of Σ slopes · cross-entropy; the slopes are (B, H, W), 0 where the label is 255."""
        return self.backward(logits, labels, slopes)


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


class BatchNorm(nn.Cell):
    """(B, C, H, W), (C,) and (C,) -> (B, C, H, W), normalised by its own moments, and these: (C,) mean and variance."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = Tensor(np.array([eps], np.float32))
        self.forward = kernel("BatchNorm", lambda x, gamma, beta, eps: (x, gamma, gamma), results=3)
        self.backward = kernel("BatchNormGrad", lambda x, gamma, mean, variance, eps, dy: (x, gamma, gamma), results=3)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.forward(x, gamma, beta, self.eps)

    def bprop(
        self, x: Tensor, gamma: Tensor, beta: Tensor, out: tuple[Tensor, ...], dout: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The moments have no gradient."""
        return self.backward(x, gamma, out[1], out[2], self.eps, dout[0])


@ms.constexpr
def axis(inputs: int, outputs: int) -> Tensor:
    return Tensor(axis_array(inputs, outputs))


def axis_array(inputs: int, outputs: int) -> np.ndarray:
    """(2, outputs): the input before each output, and the share of the one behind it."""
    mix = row_mix(inputs, outputs, 0, outputs)
    return np.stack([mix.first + mix.low, mix.share[:, 0]]).astype(np.float32)


@ms.constexpr
def length(count: int) -> Tensor:
    """A kernel reads sizes off its arrays."""
    return Tensor(np.zeros(count, np.float32))
