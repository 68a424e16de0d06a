"""Losses of the overlap of predicted and true regions: Dice and Lovász-softmax; `backend_torch/overlap.py` is its twin."""

import mindspore as ms
from mindspore import Tensor, nn, ops

from backend_mindspore.distributed import sum_over_processes
from segformer_core.config.objective import Objective
from segformer_core.data.dataset import IGNORED


class Overlap(nn.Cell):
    """The objective's weighted sum of Dice and Lovász-softmax, each a mean over the classes that the batch's labels have."""

    def __init__(self, objective: Objective):
        super().__init__()
        self.dice, self.lovasz = objective.dice, objective.lovasz

    def construct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K, H, W) float32 logits, (B, H, W) int32 labels with 255 ignored -> a scalar, 0 if all are ignored."""
        labels = ops.unsqueeze(labels, 1)
        counted = labels != IGNORED
        truth = labels == ops.reshape(ops.arange(logits.shape[1]), (-1, 1, 1))
        p = ops.where(counted, ops.Softmax(axis=1)(logits), 0.0)
        total = ops.zeros((), dtype=ms.float32)
        if self.dice:
            total = total + self.dice * dice(p, truth)
        if self.lovasz:
            total = total + self.lovasz * lovasz(p, truth, counted)
        return total


def dice(p: Tensor, truth: Tensor) -> Tensor:
    """Soft Dice loss (arXiv 1606.04797, with sums in place of squares): the mean of 1 - 2 Σ p·y / (Σ p + Σ y) over the classes.

    (B, K, H, W) float32 softmax, 0 where ignored, and bool truth -> a scalar. The sums are over the batches of all processes.
    """
    y = ops.Cast()(truth, ms.float32)
    both, predicted, true = ops.unbind(sum_over_processes(ops.stack((class_sums(p * y), class_sums(p), class_sums(y)))))
    return mean_of_present(1.0 - 2.0 * both / ops.where(true > 0, predicted + true, 1.0), true > 0)


def class_sums(x: Tensor) -> Tensor:
    """(B, K, H, W) float32 -> (K,)."""
    return ops.ReduceSum()(ops.ReduceSum()(x, -1), (0, 2))


def lovasz(p: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """Lovász-softmax (arXiv 1705.08790), the classes present, per batch: the mean over them of Σ error · its weight.

    (B, K, H, W) float32 softmax, 0 where ignored, bool truth and (B, 1, H, W) bool -> a scalar.
    """
    p, truth, counted = by_class(p), by_class(truth), by_class(counted)
    errors = ops.where(truth, 1.0 - p, p)
    weights = ops.stop_gradient(lovasz_weights(ops.stop_gradient(errors), truth, counted))
    return mean_of_present(ops.ReduceSum()(errors * weights, 1), ops.ReduceSum()(ops.Cast()(truth, ms.float32), 1) > 0)


def by_class(x: Tensor) -> Tensor:
    """(B, K, H, W) -> (K, B·H·W)."""
    return ops.reshape(ops.permute(x, (1, 0, 2, 3)), (x.shape[1], -1))


def lovasz_weights(errors: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """(K, N) float32, and bool (K, N) and (1, N) -> (K, N): by how much each pixel raises the Jaccard loss of its class.

    The pixels are taken from the largest error to the smallest. One of the class leaves the intersection: 1 / union. Another
    one joins the union: intersection / (union · (union - 1)). These are the differences of the paper's 1 - intersection / union
    without their cancellation in float32.
    """
    _, order = ops.Sort(axis=1, descending=True)(ops.where(counted, errors, -1.0))
    others = ops.logical_and(counted, ops.logical_not(truth))
    true, other = (ops.GatherD()(ops.Cast()(x, ms.int32), 1, order) for x in (truth, others))
    total = ops.sum(true, 1, True)
    intersection, union = (
        ops.Cast()(total - ops.cumsum(true, 1), ms.float32),
        ops.Cast()(total + ops.cumsum(other, 1), ms.float32),
    )
    joins = ops.where(other > 0, intersection / (union * ops.maximum(union - 1.0, 1.0)), 0.0)
    return ops.TensorScatterElements(axis=1)(ops.zeros_like(errors), order, ops.where(true > 0, 1.0 / union, joins))


def mean_of_present(losses: Tensor, present: Tensor) -> Tensor:
    """(K,) float32 and bool -> the mean over the classes that are present; 0 if none is."""
    count = ops.ReduceSum()(ops.Cast()(present, ms.float32))
    return ops.ReduceSum()(ops.where(present, losses, 0.0)) / ops.maximum(count, 1.0)
