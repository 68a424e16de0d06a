"""SegFormer as the paper draws it, in MindSpore: what the cost sheet compares the folded head and the fused attention with.

Every level of the head is projected, brought to the largest level's size and concatenated, and attention keeps its
probabilities. The cells take the places of `backend_mindspore`'s own. They are compiled and counted, not run.
"""

import mindspore as ms
from mindspore import Tensor, nn, ops

from backend_mindspore import attention, model
from backend_mindspore.layers import linear, to_map

Size = tuple[int, int]


class DrawnAttend(nn.Cell):
    """softmax(q kᵀ / √d) v for (B, heads, N, d) queries and (B, heads, M, d) keys and values."""

    def __init__(self, *_: object):
        super().__init__()

    def construct(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = ops.BatchMatMul(transpose_b=True)(q, k) * q.shape[-1] ** -0.5
        return ops.BatchMatMul()(ops.Softmax(axis=-1)(scores), v)


class DrawnHead(model.DecodeHead):
    def construct(self, features: list[Tensor], sizes: list[Size], keep: Tensor | None) -> Tensor:
        """Tokens and sizes of c1..c4 -> (B, K, H/4, W/4) logits; `keep` is (B, E, 1, 1), the dropout of whole channels."""
        levels = []
        for i, linear_c in enumerate(self.linear_c):
            x = to_map(linear(self.low(features[i]), linear_c.weight, linear_c.bias), sizes[i])
            levels.append(x if i == 0 else ops.interpolate(x, size=sizes[0], mode="bilinear", align_corners=False))
        x = self.linear_fuse.conv(ops.concat(levels[::-1], 1))
        x = ops.relu(self.linear_fuse.bn(ops.Cast()(x, ms.float32)))
        if keep is not None:
            x = x * keep
        return self.linear_pred(self.low(x))


def draw() -> None:
    """Make the networks that are built from now on, in this process, the drawn ones."""
    attention.Attend, model.DecodeHead = DrawnAttend, DrawnHead  # type: ignore[misc, assignment]
