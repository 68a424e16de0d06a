"""Cross-entropy over pixels, plain and focal, and which pixels are hard; `backend_torch/loss.py` is its twin."""

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from backend_mindspore.distributed import count_over_processes, world_size
from backend_mindspore.kernels import MinusTruth, own
from backend_mindspore.native import cells as native
from backend_mindspore.native.cells import takes
from segformer_core.config.keys import LossConfig
from segformer_core.config.objective import SMALLEST_DOUBT, objective
from segformer_core.data.dataset import IGNORED
from segformer_core.protocol.hard_pixels import IGNORED_PROBABILITY, most_kept, steps


class CrossEntropy(nn.Cell):
    """Cross-entropy and focal loss (arXiv 1708.02002) of the pixels that are not ignored, as two numbers:

    loss = Σ w[label] · (ce + focal · (1 - p)^focal_gamma) · -log p / n and weight = Σ w[label] / n

    p is the label's softmax, n the number of all pixels, w are the `class_weights` (1 if None); `ce` and `focal` are weights of
    the objective. loss / weight is the weighted mean. With `loss_average: all` weight is 1, so loss / weight is the sum over all
    pixels' number.
    """

    def __init__(self, config: LossConfig, class_weights: tuple[float, ...] | None = None):
        super().__init__()
        self.over_all = config.loss_average == "all"
        self.weights = Tensor(np.array(class_weights, np.float32)) if class_weights else None
        self.weighted_sum = WeightedSum(config)

    def construct(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, H, W) float32 logits, (B, H, W) int32 labels with 255 ignored -> loss and weight, two scalars."""
        weights = ops.Cast()(labels != IGNORED, ms.float32)
        if self.weights is not None:
            weights = weights * ops.Gather()(self.weights, ops.where(labels != IGNORED, labels, 0), 0)
        total = self.weighted_sum(logits, labels, weights) / labels.size
        return total, ops.ones_like(total) if self.over_all else ops.sum(weights) / labels.size


class HardPixels(nn.Cell):
    """OHEM (arXiv 1604.03540) by mmsegmentation's rule, over the batches of all processes.

    A pixel is hard if its true class has a probability below the threshold, or if it is among the `ohem_min_kept` pixels (times
    the images of all processes) with the lowest probability.
    """

    def __init__(self, config: LossConfig):
        super().__init__()
        self.threshold, self.min_kept = config.ohem_threshold, config.ohem_min_kept
        # tensors: at times the compiler fails on constants this close to 0
        self.steps = tuple(Tensor(step, ms.float32) for step in steps(self.threshold))

    def construct(self, p: Tensor, labels: Tensor) -> Tensor:
        """(B, H, W) `label_probabilities` and int32 labels -> the labels, with those of easy pixels set to 255."""
        return ops.where(p < self._limit(p), labels, IGNORED)

    def _limit(self, p: Tensor) -> Tensor:
        """The probability below which a pixel is hard: the threshold, or more where fewer than `rank` pixels are below it.

        It is found bit by bit, as the largest number below which there are no more than `rank` pixels. So the processes exchange
        counts alone, and nothing is sorted.
        """
        counted = count_over_processes(p < IGNORED_PROBABILITY)
        rank = ops.clamp(counted - 1, 0, most_kept(self.min_kept, p.shape, world_size()))
        limit = ops.zeros((), dtype=ms.float32)
        for step in self.steps:
            higher = limit + step
            limit = ops.where(count_over_processes(p < higher) <= rank, higher, limit)
        return ops.maximum(limit, self.threshold)


class WeightedSum(nn.Cell):
    """Σ w · (ce + focal · (1 - p)^focal_gamma) · -log p with p = softmax(logits)[label]; (B, H, W) float32 w, 0 where ignored.

    The gradient is written out: MindSpore's own goes through a scatter that is ten times slower on a CPU.
    """

    def __init__(self, config: LossConfig):
        super().__init__()
        wanted = objective(config.loss)
        self.ce, self.focal, self.gamma = wanted.ce, wanted.focal, config.focal_gamma
        self.minus_truth = MinusTruth()
        self.native: Any = own(native.CrossEntropy)

    def construct(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        losses = self._losses(logits, labels)
        weights = weights * (self.ce + self.focal * ops.pow(doubts(losses), self.gamma)) if self.focal else weights * self.ce
        return ops.sum(losses * weights)

    def bprop(self, logits: Tensor, labels: Tensor, weights: Tensor, out: Tensor, dout: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        slope = weights * dout * self.ce
        if self.focal:
            losses = self._losses(logits, labels)
            doubt = doubts(losses)
            power = ops.pow(doubt, self.gamma)
            slope = slope + weights * dout * self.focal * (power + self.gamma * losses * ops.exp(-losses) * power / doubt)
        return self._gradient(logits, labels, slope), ops.zeros_like(labels), ops.zeros_like(weights)

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.native is not None and takes(logits):
            return self.native(logits, labels)
        return -log_probabilities(logits, labels)

    def _gradient(self, logits: Tensor, labels: Tensor, slope: Tensor) -> Tensor:
        """By the logits, of Σ slope · -log p."""
        if self.native is not None and takes(logits):
            return self.native.gradient(logits, labels, slope)
        return self.minus_truth(ops.exp(ops.LogSoftmax(axis=1)(logits)), labels, slope)


def doubts(losses: Tensor) -> Tensor:
    """1 - p of each -log p."""
    return ops.maximum(-ops.expm1(-losses), SMALLEST_DOUBT)


def label_probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, H, W): that of the true class; 2 where the label is ignored. It has no gradient."""
    p = ops.exp(log_probabilities(ops.stop_gradient(logits), labels))
    return ops.where(labels == IGNORED, IGNORED_PROBABILITY, p)


def log_probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, H, W): that of the true class; of class 0 where the label is ignored."""
    index = ops.unsqueeze(ops.where(labels != IGNORED, labels, 0), 1)
    return ops.Squeeze(1)(ops.GatherD()(ops.LogSoftmax(axis=1)(logits), 1, index))
