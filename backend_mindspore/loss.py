"""Cross-entropy over pixels; `backend_torch/loss.py` is its twin."""

import mindspore as ms
from mindspore import Tensor, nn, ops

from segformer_core.data.dataset import IGNORED


class CrossEntropy(nn.Cell):
    """Mean over the pixels that are not ignored of -log softmax(logits)[label]; 0 when every pixel is ignored.

    The gradient is written out: MindSpore's own goes through a scatter that is ten times slower on a CPU.
    """

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K, H, W) float32 logits, (B, H, W) int32 labels with 255 ignored -> a scalar."""
        log_p = ops.LogSoftmax(axis=1)(logits)
        counted = labels != IGNORED
        index = ops.expand_dims(ops.where(counted, labels, 0), 1)
        picked = ops.squeeze(ops.GatherD()(log_p, 1, index), 1)
        return -ops.sum(picked * self._weights(labels))

    def bprop(self, logits: Tensor, labels: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, Tensor]:
        truth = ops.stack([ops.cast(labels == k, logits.dtype) for k in range(logits.shape[1])], axis=1)
        p = ops.exp(ops.LogSoftmax(axis=1)(logits))
        weights = ops.expand_dims(self._weights(labels) * dout, 1)
        return (p - truth) * weights, ops.zeros_like(labels)

    def _weights(self, labels: Tensor) -> Tensor:
        """(B, H, W): each counted pixel's share of the mean, 0 for an ignored one."""
        counted = ops.cast(labels != IGNORED, ms.float32)
        return counted / ops.maximum(ops.sum(counted), 1.0)
