"""Linear layers and attention of float32 on a CPU by oneDNN, which PyTorch's builds for x86-64 hold beside MKL.

PyTorch gives products of float32 to MKL, which takes AVX2 alone where the processor is not Intel's: 110 GFLOP/s on one core of
an AMD EPYC. oneDNN takes AVX-512 there: 245. So these products go to the operator by which torch.compile reaches oneDNN.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SCORES = 2**19
"""Of the queries that each core answers at a time: 2 MB, which stay in its cache."""
FEWEST_ROWS = 256
"""Of queries for a core at a time: fewer make products that are too small."""
LONGEST_SUM = 8192
"""The most rows over which oneDNN sums the gradient of a weight. Over more MKL is faster: it copies nothing."""
ONEDNN_LINEAR: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
HAS_AMX = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
"""Whether the processor multiplies tiles of bfloat16."""
AVAILABLE = torch.backends.mkl.is_available() and ONEDNN_LINEAR is not None


def takes(x: Tensor) -> bool:
    """Whether a linear layer of `x` is computed here."""
    return x.dtype == torch.float32 and _reaches(x)


def takes_attention(q: Tensor) -> bool:
    """Whether attention is computed here: of bfloat16 too, in float32, unless the processor has AMX.

    PyTorch's fused kernel then takes 1.4 times as long for B0's first stage, and its results are no closer to exact ones.
    """
    return (q.dtype == torch.float32 or (q.dtype == torch.bfloat16 and not HAS_AMX)) and _reaches(q)


def _reaches(x: Tensor) -> bool:
    """Not in a graph for export, and not in a compiled one with a gradient."""
    if not AVAILABLE or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    if torch.compiler.is_dynamo_compiling():  # asked first: before 2.13 is_exporting is then True as well
        return not torch.is_grad_enabled()
    return not torch.compiler.is_exporting()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`torch.nn.functional.linear`."""
    if torch.compiler.is_compiling():
        return linear_as_operator(x, weight, bias)
    return Linear.apply(x, weight, bias) if torch.is_grad_enabled() else product(x, weight, bias)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) v for (B, heads, N, d) queries and (B, heads, M, d) keys and values, in float32 inside."""
    if q.dtype != torch.float32:
        return attend(q.float(), k.float(), v.float()).to(q.dtype)
    if torch.compiler.is_compiling():
        return attend_as_operator(q, k, v)
    return Attend.apply(q, k, v) if torch.is_grad_enabled() else attended(q, k, v)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(..., C) and (O, C) -> x weightᵀ + bias, without a gradient."""
    if not (weight.is_contiguous() or weight.T.is_contiguous()):
        weight = weight.contiguous()  # with other strides oneDNN is a hundred times slower
    return ONEDNN_LINEAR(x, weight, bias, "none", [], "")


class Linear(torch.autograd.Function):
    """`product`, with a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows, inputs = gradient.reshape(-1, gradient.shape[-1]), x.reshape(-1, x.shape[-1])
        return (
            product(gradient, weight.T) if of_x else None,
            summed_product(rows, inputs) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def summed_product(x: Tensor, y: Tensor) -> Tensor:
    """(N, A) and (N, B) -> xᵀ y."""
    if len(x) > LONGEST_SUM:
        return x.T @ y
    return product(x.T, y.T) if x.shape[1] <= y.shape[1] else product(y.T, x.T).T  # the first one is copied


class Attend(torch.autograd.Function):
    """`attended`, with a gradient: it computes the probabilities again, so none are kept."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v)
        return attended(q, k, v)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        q, k, v = ctx.saved_tensors
        scale = q.shape[-1] ** -0.5
        of_q, of_k, of_v = empty(q), torch.zeros_like(k), torch.zeros_like(v)
        for one in maps(q):
            keys, values = k[one] * scale, v[one].contiguous()
            for rows in chunks(q, k):
                p = torch.softmax(product(q[one][rows], keys), -1)
                of_p = product(gradient[one][rows], values)
                of_scores = of_p.sub_((of_p * p).sum(-1, keepdim=True)).mul_(p)
                of_q[one][rows] = product(of_scores, keys.T)
                of_k[one] += product(q[one][rows].T, of_scores.T).T
                of_v[one] += product(gradient[one][rows].T, p.T).T
        return of_q, of_k.mul_(scale), of_v


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`attend`, without a gradient."""
    out = empty(q)
    for one in maps(q):
        keys, values = k[one] * q.shape[-1] ** -0.5, v[one].T.contiguous()
        for rows in chunks(q, k):
            out[one][rows] = product(torch.softmax(product(q[one][rows], keys), -1), values)
    return out


def empty(q: Tensor) -> Tensor:
    """(B, heads, N, d), in memory as (B, N, heads, d): so the heads of a token are together, as the next layer takes them."""
    B, heads, N, d = q.shape
    return q.new_empty(B, N, heads, d).transpose(1, 2)


def maps(q: Tensor) -> list[tuple[int, int]]:
    """Image and head."""
    return [(image, head) for image in range(q.shape[0]) for head in range(q.shape[1])]


def chunks(q: Tensor, k: Tensor) -> list[slice]:
    """The queries that are answered at a time: as many for each core, since the cores wait for each other after each product."""
    rows = max(FEWEST_ROWS, SCORES // k.shape[2]) * torch.get_num_threads()
    return [slice(first, first + rows) for first in range(0, q.shape[2], rows)]


@torch.library.custom_op("segformer::linear", mutates_args=())
def linear_as_operator(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`product` for torch.compile, which does not look into it; so with `attended` below."""
    return product(x, weight, bias)


@torch.library.custom_op("segformer::attend", mutates_args=())
def attend_as_operator(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attended(q, k, v)


@linear_as_operator.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(*x.shape[:-1], len(weight))


@attend_as_operator.register_fake
def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return empty(q)
