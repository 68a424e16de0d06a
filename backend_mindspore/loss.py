"""Cross-entropy over pixels; `backend_torch/loss.py` is its twin."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from segformer_core.config import LossConfig
from segformer_core.data.dataset import IGNORED


class CrossEntropy(nn.Cell):
    """Σ w[label] · -log softmax(logits)[label] and Σ w[label] over the pixels that count, each over the number of pixels.

    The first over the second is the weighted mean. `class_weights` are w, all 1 if None.
    The gradient is written out: MindSpore's own goes through a scatter that is ten times slower on a CPU.
    """

    def __init__(self, config: LossConfig, class_weights: tuple[float, ...] | None = None):
        super().__init__()
        self.ohem_threshold, self.ohem_min_kept = config.ohem_threshold, config.ohem_min_kept
        self.weights = None if class_weights is None else Tensor(np.array(class_weights, np.float32))

    def construct(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, H, W) float32 logits, (B, H, W) int32 labels with 255 ignored -> two scalars."""
        losses = self._losses(logits, labels)
        if self.ohem_threshold:
            labels = self._hard(losses, labels)
        weights = self._weights(labels)
        return ops.sum(losses * weights) / labels.size, ops.sum(weights) / labels.size

    def bprop(
        self, logits: Tensor, labels: Tensor, out: tuple[Tensor, Tensor], dout: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        counted = self._hard(self._losses(logits, labels), labels) if self.ohem_threshold else labels
        truth = ops.stack([ops.cast(labels == k, logits.dtype) for k in range(logits.shape[1])], axis=1)
        p = ops.exp(ops.LogSoftmax(axis=1)(logits))
        weights = ops.expand_dims(self._weights(counted) * (dout[0] / labels.size), 1)
        return (p - truth) * weights, ops.zeros_like(labels)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, H, W): -log of the true class's probability; any number where the label is ignored."""
        index = ops.expand_dims(ops.where(labels != IGNORED, labels, 0), 1)
        return -ops.squeeze(ops.GatherD()(ops.LogSoftmax(axis=1)(logits), 1, index), 1)

    def _weights(self, labels: Tensor) -> Tensor:
        """(B, H, W): what each pixel counts; 0 where it is ignored."""
        counted = ops.cast(labels != IGNORED, ms.float32)
        if self.weights is None:
            return counted
        return counted * ops.gather(self.weights, ops.where(labels != IGNORED, labels, 0), 0)

    def _hard(self, losses: Tensor, labels: Tensor) -> Tensor:
        """Labels with 255 where the true class is likely enough (arXiv 1604.03540, as mmsegmentation has it).

        Those stay whose probability is below the threshold, or below that of the hardest `ohem_min_kept` pixels an image.
        """
        p = ops.where(labels == IGNORED, 2.0, ops.exp(-losses))
        counted = ops.cast(ops.sum(ops.cast(p < 2.0, ms.float32)), ms.int32)
        rank = ops.clamp(counted - 1, 0, self.ohem_min_kept * labels.shape[0])
        least = ops.gather(ops.sort(ops.reshape(p, (-1,)))[0], rank, 0)
        return ops.where(p < ops.maximum(least, self.ohem_threshold), labels, IGNORED)
