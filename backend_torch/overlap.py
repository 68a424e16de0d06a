"""Losses of the overlap of predicted and true regions: Dice and Lovász-softmax; `backend_mindspore/overlap.py` is its twin."""

import torch
from torch import Tensor, nn

from backend_torch.distributed import sum_over_processes
from segformer_core.config.objective import Objective
from segformer_core.data.dataset import IGNORED


class Overlap(nn.Module):
    """The objective's weighted sum of Dice and Lovász-softmax, each a mean over the classes that the batch's labels have."""

    def __init__(self, objective: Objective):
        super().__init__()
        self.dice, self.lovasz = objective.dice, objective.lovasz

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B, K, H, W) float32 logits, (B, H, W) integer labels with 255 ignored -> a scalar, 0 if all are ignored."""
        counted = (labels != IGNORED)[:, None]
        truth = labels[:, None] == torch.arange(logits.shape[1], device=logits.device)[:, None, None]
        p = torch.where(counted, torch.softmax(logits, 1), 0.0)
        total = logits.new_zeros(())
        if self.dice:
            total = total + self.dice * dice(p, truth)
        if self.lovasz:
            total = total + self.lovasz * lovasz(p, truth, counted)
        return total


def dice(p: Tensor, truth: Tensor) -> Tensor:
    """Soft Dice loss (arXiv 1606.04797, with sums in place of squares): the mean of 1 - 2 Σ p·y / (Σ p + Σ y) over the classes.

    (B, K, H, W) float32 softmax, 0 where ignored, and bool truth -> a scalar. The sums are over the batches of all processes.
    """
    y = truth.float()
    both, predicted, true = sum_over_processes(torch.stack((class_sums(p * y), class_sums(p), class_sums(y))))
    return mean_of_present(1.0 - 2.0 * both / torch.where(true > 0, predicted + true, 1.0), true > 0)


def class_sums(x: Tensor) -> Tensor:
    """(B, K, H, W) float32 -> (K,)."""
    return x.sum((0, 2, 3))


def lovasz(p: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """Lovász-softmax (arXiv 1705.08790), the classes present, per batch: the mean over them of Σ error · its weight.

    (B, K, H, W) float32 softmax, 0 where ignored, bool truth and (B, 1, H, W) bool -> a scalar.
    """
    p, truth, counted = by_class(p), by_class(truth), by_class(counted)
    errors = torch.where(truth, 1.0 - p, p)
    return mean_of_present((errors * lovasz_weights(errors, truth, counted)).sum(1), truth.any(1))


def by_class(x: Tensor) -> Tensor:
    """(B, K, H, W) -> (K, B·H·W)."""
    return x.transpose(0, 1).flatten(1)


@torch.no_grad()
def lovasz_weights(errors: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """(K, N) float32, and bool (K, N) and (1, N) -> (K, N): by how much each pixel raises the Jaccard loss of its class.

    The pixels are taken from the largest error to the smallest. One of the class leaves the intersection: 1 / union. Another
    one joins the union: intersection / (union · (union - 1)). These are the differences of the paper's 1 - intersection / union
    without their cancellation in float32.
    """
    order = torch.argsort(torch.where(counted, errors, -1.0), dim=1, descending=True, stable=True)
    others = counted & ~truth
    true, other = (x.gather(1, order) for x in (truth, others))
    total = true.sum(1, keepdim=True)
    intersection, union = (total - true.cumsum(1)).float(), (total + other.cumsum(1)).float()
    joins = torch.where(other, intersection / (union * (union - 1.0).clamp(min=1.0)), 0.0)
    return torch.empty_like(errors).scatter(1, order, torch.where(true, 1.0 / union, joins))


def mean_of_present(losses: Tensor, present: Tensor) -> Tensor:
    """(K,) float32 and bool -> the mean over the classes that are present; 0 if none is."""
    return torch.where(present, losses, 0.0).sum() / present.sum().clamp(min=1)
