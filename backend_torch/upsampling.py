"""Bilinear upsampling whose gradient is matrix products; `kernels.Upsample` chooses the form."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

MOST_SIZES = 32
"""Of maps whose matrices are kept."""


class UpsampleByOperator(torch.autograd.Function):
    """`Upsample` off the CPU: PyTorch's operator. Its own gradient is atomic additions on CUDA; here that is matrix products.

    PyTorch adds each pixel to four others in the order in which they come, and in fp16 or bf16 rounds after each addition. Here
    nothing is added atomically, and a matrix product usually adds up in float32.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.size = tuple(x.shape[2:])
        # where a program asks for deterministic algorithms, nn.functional.interpolate is not this operator, but many
        return torch.ops.aten.upsample_bilinear2d.default(x, size, False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor, None]:
        """(B, C, H, W) -> (B, C, h, w), in the layout of what came. Rows first: they make the larger products."""
        (B, C, H, W), (h, w) = dout.shape, ctx.size
        rows, columns = matrices((h, w), (H, W), dout.dtype, dout.device)
        d = dout.to(rows.dtype)
        by_pixel = d.permute(0, 2, 3, 1)
        if by_pixel.is_contiguous():
            d = columns @ (rows @ by_pixel.reshape(B, H, W * C)).reshape(B * h, W, C)
            d = d.reshape(B, h, w, C).permute(0, 3, 1, 2)
        else:
            d = (rows @ d.reshape(B * C, H, W)).reshape(B * C * h, W) @ columns.T
            d = d.reshape(B, C, h, w)
        return d.to(dout.dtype), None


@lru_cache(MOST_SIZES)
def matrices(small: tuple[int, int], large: tuple[int, int], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """(h, H) and (w, W), the gradients of both axes: in `dtype` if it holds their entries, else in float32.

    fp16 and bf16 hold those of a factor of 2, 4 or 8: sixteenths.
    """
    exact = [interpolation_matrix(inputs, outputs).T for inputs, outputs in zip(small, large, strict=True)]
    if any((matrix.to(dtype) != matrix).any() for matrix in exact):
        dtype = torch.float32
    rows, columns = (matrix.to(device, dtype).contiguous() for matrix in exact)
    return rows, columns


def interpolation_matrix(inputs: int, outputs: int) -> Tensor:
    """(outputs, inputs) float64: one axis of bilinear interpolation with half-pixel centres, edges repeated."""
    centres = np.clip((np.arange(outputs) + 0.5) * (inputs / outputs) - 0.5, 0.0, inputs - 1.0)
    distances = np.abs(centres[:, None] - np.arange(inputs))
    return torch.from_numpy(np.maximum(1.0 - distances, 0.0))
