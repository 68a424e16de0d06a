"""Bilinear upsampling as matrix products, and its gradient as products of blocks; `kernels.Upsample` chooses the form."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

BLOCK = 16
"""The inputs of one block of an interpolation matrix."""

FEWEST_INPUTS = 128
"""Of a side that is interpolated in blocks. Of fewer, to gather what the blocks give takes longer than the whole product."""


class UpsampleByOperator(nn.Cell):
    """`Upsample` on a CPU: MindSpore's operator. Its own gradient is slow; here that is matrix products.

    Of a large map most entries of the matrices are 0. Where each side grows by a whole number, its products are those of blocks.
    """

    def construct(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return ops.interpolate(x, size=size, mode="bilinear", align_corners=False)

    def bprop(self, x: Tensor, size: tuple[int, int], out: Tensor, dout: Tensor) -> tuple[Tensor, tuple[int, int]]:
        B, C, h, w = x.shape
        if in_blocks(h, size[0]) and in_blocks(w, size[1]):
            rows, columns = block_matrix(size[0] // h).to(x.dtype), block_matrix(size[1] // w).to(x.dtype)
            d = ops.reshape(dout, (-1, rows.shape[0], size[1]))
            d = ops.BatchMatMul(transpose_a=True)(ops.broadcast_to(ops.unsqueeze(rows, 0), (d.shape[0], *rows.shape)), d)
            d = one_of_each(ops.reshape(d, (B * C, -1, size[1])), h)
            d = ops.MatMul()(ops.reshape(d, (-1, columns.shape[0])), columns)
            d = one_of_each(ops.reshape(d, (B * C * h, -1)), w)
        else:
            rows, columns = interpolation_matrix(h, size[0]).to(x.dtype), interpolation_matrix(w, size[1]).to(x.dtype)
            rows = ops.broadcast_to(ops.unsqueeze(rows, 0), (B * C, size[0], h))
            d = ops.BatchMatMul(transpose_a=True)(rows, ops.reshape(dout, (B * C, *size)))
            d = ops.MatMul()(ops.reshape(d, (B * C * h, size[1])), columns)
        return ops.reshape(d, x.shape), size


def in_blocks(inputs: int, outputs: int) -> bool:
    return inputs >= FEWEST_INPUTS and inputs % BLOCK == 0 and outputs % inputs == 0


@ms.constexpr
def block_matrix(factor: int) -> Tensor:
    """(BLOCK · factor, BLOCK + 3): a block's outputs from its inputs, one more on each side, and one that counts nothing."""
    centres = (np.arange(BLOCK * factor) + 0.5) / factor - 0.5
    matrix = np.maximum(1.0 - np.abs(centres[:, None] - np.arange(-1, BLOCK + 2)), 0.0)
    matrix[:, -1] = 0.0
    return Tensor(matrix.astype(np.float32))


def one_of_each(x: Tensor, inputs: int) -> Tensor:
    """(A, inputs / BLOCK · (BLOCK + 3), …) -> (A, inputs, …): the sums of what several blocks have of the same input."""
    return ops.Gather()(x, place_in_blocks(inputs, 0), 1) + ops.Gather()(x, place_in_blocks(inputs, 1), 1)


@ms.constexpr
def place_in_blocks(inputs: int, which: int) -> Tensor:
    """Where each input is among those of all blocks: in its own (0), and in a neighbour's, or an edge's copy (1)."""
    block, place = np.divmod(np.arange(inputs), BLOCK)
    first = block * (BLOCK + 3)
    if which == 0:
        return Tensor((first + 1 + place).astype(np.int32))
    before, after = first - 2, first + BLOCK + 3  # the last but one of the block before, and the first of the block after
    before[block == 0], after[block == block[-1]] = 0, first[-1] + BLOCK + 1
    nothing = first + BLOCK + 2
    return Tensor(np.select([place == 0, place == BLOCK - 1], [before, after], nothing).astype(np.int32))


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
