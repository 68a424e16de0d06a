"""Cross-entropy over pixels; `backend_torch/loss.py` is its twin."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from segformer_core.config.keys import LossConfig
from segformer_core.data.dataset import IGNORED


class CrossEntropy(nn.Cell):
    """Gives two numbers: loss = Σ w[label] · -log softmax(logits)[label] / n and weight = Σ w[label] / n.

    The sums are over the pixels that are not ignored, n is the number of all pixels, w are the `class_weights` (1 if None).
    loss / weight is the weighted mean.
    """

    def __init__(self, config: LossConfig, class_weights: tuple[float, ...] | None = None):
        super().__init__()
        self.ohem_threshold, self.ohem_min_kept = config.ohem_threshold, config.ohem_min_kept
        self.weights = Tensor(np.array(class_weights, np.float32)) if class_weights else None
        self.weighted_sum = WeightedSum()

    def construct(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, H, W) float32 logits, (B, H, W) int32 labels with 255 ignored -> loss and weight, two scalars."""
        if self.ohem_threshold:
            labels = self._hard(ops.stop_gradient(logits), labels)
        weights = ops.cast(labels != IGNORED, ms.float32)
        if self.weights is not None:
            weights = weights * ops.gather(self.weights, ops.where(labels != IGNORED, labels, 0), 0)
        return self.weighted_sum(logits, labels, weights) / labels.size, ops.sum(weights) / labels.size

    def _hard(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The labels with all easy pixels set to 255 (OHEM, arXiv 1604.03540, by mmsegmentation's rule).

        A pixel is hard if its true class has a probability below the threshold, or if it is among the `ohem_min_kept` pixels
        (times the images of the batch) with the lowest probability.
        """
        p = ops.exp(log_probabilities(logits, labels))
        p = ops.where(labels == IGNORED, 2.0, p)
        counted = ops.cast(ops.sum(ops.cast(p < 2.0, ms.float32)), ms.int32)
        rank = ops.clamp(counted - 1, 0, self.ohem_min_kept * labels.shape[0])
        least = ops.gather(ops.sort(ops.reshape(p, (-1,)))[0], rank, 0)
        return ops.where(p < ops.maximum(least, self.ohem_threshold), labels, IGNORED)


class WeightedSum(nn.Cell):
    """Σ w · -log softmax(logits)[label]; (B, H, W) float32 w, 0 where the label is ignored.

    The gradient is written out: MindSpore's own goes through a scatter that is ten times slower on a CPU.
    """

    def construct(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return -ops.sum(log_probabilities(logits, labels) * weights)

    def bprop(self, logits: Tensor, labels: Tensor, weights: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        truth = ops.OneHot(axis=1)(labels, logits.shape[1], Tensor(1.0, ms.float32), Tensor(0.0, ms.float32))
        p = ops.exp(ops.LogSoftmax(axis=1)(logits))
        return (p - truth) * ops.expand_dims(weights * dout, 1), ops.zeros_like(labels), ops.zeros_like(weights)


def log_probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, H, W): that of the true class; of class 0 where the label is ignored."""
    index = ops.expand_dims(ops.where(labels != IGNORED, labels, 0), 1)
    return ops.squeeze(ops.GatherD()(ops.LogSoftmax(axis=1)(logits), 1, index), 1)
