"""Convolutions as matrix products; `kernels.convolution_as_products` chooses the form.

With AVX-512 oneDNN 3.10, which MindSpore 2.10 holds, computes MindSpore's convolutions, and their gradients by the input, with a
reference kernel: it makes the maps channels-last, and has no other kernel for those with the weights' plain layout. The gradient
by the weights is as fast as with AVX2.
"""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.ops.operations._grad_ops import Conv2DBackpropFilter

from backend_mindspore.upsampling import first_numbers

KERNEL = 3
"""Rows and columns of a depthwise convolution's kernel."""

NARROW = 32
"""Columns of a map of which a block takes twice the rows: so its products are not too small."""


class PatchProducts(nn.Cell):
    """(B, C, H, W) and (O, C, k, k) -> (B, O, H', W'): a convolution as a product of its patches."""

    def __init__(self, kernel: int, stride: int, padding: int):
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        B, _, H, W = x.shape
        s, border = self.stride, 2 * self.padding - self.kernel
        weight = ops.reshape(weight, (1, weight.shape[0], -1))
        x = ops.BatchMatMul()(ops.broadcast_to(weight, (B, *weight.shape[1:])), ops.unfold(x, self.kernel, 1, self.padding, s))
        return ops.reshape(x, (B, -1, (H + border) // s + 1, (W + border) // s + 1))


class DepthwiseProducts(nn.Cell):
    """(B, C, H, W) and (C, 1, 3, 3) -> (B, C, H, W): a depthwise convolution as products with banded matrices.

    R rows of one channel are a block: the product of an (R, 3 (R + 2)) matrix, which has the kernel's numbers in each row, and
    the R + 2 rows that the block sees, three times: moved to the right, as they are, and moved to the left. The gradient by the
    input is such a convolution with the kernel turned round. Copies of the input are not kept for it.
    """

    def __init__(self, channels: int):
        super().__init__()
        options = {"mode": 1, "pad_mode": "pad", "pad": 1, "pad_list": (1, 1, 1, 1), "stride": 1, "dilation": 1}
        self.weight_gradient = Conv2DBackpropFilter(channels, KERNEL, group=channels, **options)

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        return self._convolved(x, weight)

    def bprop(self, x: Tensor, weight: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, Tensor]:
        dx = self._convolved(dout, ops.ReverseV2(axis=[2, 3])(weight))
        return dx, self.weight_gradient(dout, x, weight.shape)

    def _convolved(self, x: Tensor, weight: Tensor) -> Tensor:
        B, C, H, W = x.shape
        R = rows_of_block(x.shape)
        blocks = (H + R - 1) // R
        matrices = ops.MatMul()(ops.reshape(weight, (C, KERNEL * KERNEL)), band(R).to(x.dtype))
        matrices = ops.broadcast_to(ops.reshape(matrices, (1, C, 1, -1)), (B, C, blocks, matrices.shape[1]))
        x = ops.BatchMatMul()(ops.reshape(matrices, (B * C * blocks, R, -1)), seen_by_blocks(x, R))
        x = ops.reshape(x, (B, C, blocks * R, W))
        return x[:, :, :H] if ops.is_sequence_value_unknown((H, W)) or H % R else x


def rows_of_block(shape: tuple[int, ...]) -> int:
    return 8 if ops.is_sequence_value_unknown(shape) or shape[3] > NARROW else 16


def seen_by_blocks(x: Tensor, R: int) -> Tensor:
    """(B, C, H, W) -> (B C ⌈H / R⌉, 3 (R + 2), W): what each block of R rows sees, moved right, as it is, and moved left."""
    B, C, H, W = x.shape
    unknown = ops.is_sequence_value_unknown(x.shape)
    index = rows_of_blocks_of_any_size(H, R) if unknown else rows_of_blocks(H, R)
    x = ops.reshape(x, (B * C, H, W))
    border = ops.ZerosLike()(x[:, :1])
    x = ops.Gather()(ops.concat((border, x, border), 1), index, 1)
    x = ops.reshape(x, (-1, R + 2, W))
    border = ops.ZerosLike()(x[:, :, :1])
    return ops.concat((ops.concat((border, x[:, :, :-1]), 2), x, ops.concat((x[:, :, 1:], border), 2)), 1)


@ms.constexpr
def band(R: int) -> Tensor:
    """(9, 3 R (R + 2)) float32: from the kernel to the matrix of a block, one row after the other."""
    i, j, row = np.ogrid[:KERNEL, :KERNEL, :R]
    places = np.zeros((KERNEL, KERNEL, R, KERNEL, R + 2), np.float32)
    places[i, j, row, j, row + i] = 1.0
    return Tensor(places.reshape(KERNEL * KERNEL, -1))


@ms.constexpr
def rows_of_blocks(H: int, R: int) -> Tensor:
    """Which rows of a map with a border of zeros the blocks see; beyond the last of them the border again."""
    return Tensor(np.minimum(np.arange(0, H, R)[:, None] + np.arange(R + 2), H + 1).reshape(-1).astype(np.int32))


def rows_of_blocks_of_any_size(H: int, R: int) -> Tensor:
    """The same for sizes that are known only when the graph runs."""
    first = ops.unsqueeze(first_numbers((H + R - 1) // R), 1) * R
    return ops.reshape(ops.clamp(first + first_numbers(R + 2), 0, H + 1), (-1,)).to(ms.int32)
