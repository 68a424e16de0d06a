"""Cross-entropy over pixels, plain and focal, and which pixels are hard; `backend_mindspore/loss.py` is its twin."""

import torch
from torch import Tensor, nn

from backend_torch.distributed import count_over_processes, world_size
from segformer_core.config.keys import LossConfig
from segformer_core.config.objective import SMALLEST_DOUBT, objective
from segformer_core.data.dataset import IGNORED
from segformer_core.protocol.hard_pixels import IGNORED_PROBABILITY, most_kept, steps


class CrossEntropy(nn.Module):
    """Cross-entropy and focal loss (arXiv 1708.02002) of the pixels that are not ignored, as two numbers:

    loss = Σ w[label] · (ce + focal · (1 - p)^focal_gamma) · -log p / n and weight = Σ w[label] / n

    p is the label's softmax, n the number of all pixels, w are the `class_weights` (1 if None); `ce` and `focal` are weights of
    the objective. loss / weight is the weighted mean. With `loss_average: all` weight is 1, so loss / weight is the sum over all
    pixels' number.
    """

    weights: Tensor | None

    def __init__(self, config: LossConfig, class_weights: tuple[float, ...] | None = None):
        super().__init__()
        self.over_all = config.loss_average == "all"
        wanted = objective(config.loss)
        self.ce, self.focal, self.gamma = wanted.ce, wanted.focal, config.focal_gamma
        self.register_buffer("weights", torch.tensor(class_weights) if class_weights else None, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, H, W) float32 logits, (B, H, W) integer labels with 255 ignored -> loss and weight, two scalars."""
        labels = labels.long()
        total = self._total(logits, labels) / labels.numel()
        if self.over_all:
            return total, torch.ones_like(total)
        counted = labels != IGNORED
        weight = counted if self.weights is None else torch.where(counted, self.weights[labels * counted], 0.0)
        return total, weight.float().mean()

    def _total(self, logits: Tensor, labels: Tensor) -> Tensor:
        if not self.focal:
            return self.ce * negative_log_probabilities(logits, labels, self.weights).sum()
        losses = negative_log_probabilities(logits, labels)
        losses = (self.ce + self.focal * doubts(losses) ** self.gamma) * losses
        return losses.sum() if self.weights is None else (self.weights[labels * (labels != IGNORED)] * losses).sum()


class HardPixels(nn.Module):
    """OHEM (arXiv 1604.03540) by mmsegmentation's rule, over the batches of all processes.

    A pixel is hard if its true class has a probability below the threshold, or if it is among the `ohem_min_kept` pixels (times
    the images of all processes) with the lowest probability.
    """

    def __init__(self, config: LossConfig):
        super().__init__()
        self.threshold, self.min_kept = config.ohem_threshold, config.ohem_min_kept

    @torch.no_grad()
    def forward(self, p: Tensor, labels: Tensor) -> Tensor:
        """(B, H, W) `label_probabilities` and integer labels -> the labels, with those of easy pixels set to 255."""
        return torch.where(p < self._limit(p), labels, IGNORED)

    def _limit(self, p: Tensor) -> Tensor:
        """The probability below which a pixel is hard: the threshold, or more where fewer than `rank` pixels are below it.

        It is found bit by bit, as the largest number below which there are no more than `rank` pixels. So the processes exchange
        counts alone, and nothing is sorted.
        """
        counted = count_over_processes(p < IGNORED_PROBABILITY)
        rank = torch.clamp(counted - 1, 0, most_kept(self.min_kept, p.shape, world_size()))
        limit = torch.zeros((), device=p.device)
        for step in steps(self.threshold):
            higher = limit + step
            limit = torch.where(count_over_processes(p < higher) <= rank, higher, limit)
        return limit.clamp(min=self.threshold)


def doubts(losses: Tensor) -> Tensor:
    """1 - p of each -log p."""
    return (-torch.expm1(-losses)).clamp(min=SMALLEST_DOUBT)


def negative_log_probabilities(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """(B, K, H, W) float32, (B, H, W) int64, (K,) -> (B, H, W) float32: -log p of the label, weighted; 0 where it is ignored.

    Over rows of pixels, which are views where maps are channels-last, as on a CPU and on CUDA: PyTorch would copy the maps, on a
    CPU in twice the time. The sum is the caller's: PyTorch's own has no fixed order over maps on CUDA, and is slow over rows.
    """
    rows = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    losses = nn.functional.cross_entropy(rows, labels.reshape(-1), weights, ignore_index=IGNORED, reduction="none")
    return losses.reshape(labels.shape)


@torch.no_grad()
def label_probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, H, W): that of the true class; 2 where the label is ignored."""
    p = torch.exp(-negative_log_probabilities(logits, labels.long()))
    return torch.where(labels == IGNORED, IGNORED_PROBABILITY, p)
