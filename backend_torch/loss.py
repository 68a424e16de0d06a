"""Cross-entropy over pixels; `backend_mindspore/loss.py` is its twin."""

import torch
from torch import Tensor, nn

from segformer_core.config.keys import LossConfig
from segformer_core.data.dataset import IGNORED


class CrossEntropy(nn.Module):
    """Gives two numbers: loss = Σ w[label] · -log softmax(logits)[label] / n and weight = Σ w[label] / n.

    The sums are over the pixels that are not ignored, n is the number of all pixels, w are the `class_weights` (1 if None).
    loss / weight is the weighted mean.
    """

    weights: Tensor | None

    def __init__(self, config: LossConfig, class_weights: tuple[float, ...] | None = None):
        super().__init__()
        self.ohem_threshold, self.ohem_min_kept = config.ohem_threshold, config.ohem_min_kept
        self.register_buffer("weights", torch.tensor(class_weights) if class_weights else None, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, H, W) float32 logits, (B, H, W) integer labels with 255 ignored -> loss and weight, two scalars."""
        labels = labels.long()
        if self.ohem_threshold:
            labels = self._hard(logits, labels)
        total = nn.functional.cross_entropy(logits, labels, self.weights, ignore_index=IGNORED, reduction="sum")
        counted = labels != IGNORED
        weight = counted if self.weights is None else torch.where(counted, self.weights[labels * counted], 0.0)
        return total / labels.numel(), weight.float().mean()

    @torch.no_grad()
    def _hard(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The labels with all easy pixels set to 255 (OHEM, arXiv 1604.03540, by mmsegmentation's rule).

        A pixel is hard if its true class has a probability below the threshold, or if it is among the `ohem_min_kept` pixels
        (times the images of the batch) with the lowest probability.
        """
        p = torch.exp(-nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none"))
        p = torch.where(labels == IGNORED, 2.0, p)
        rank = torch.clamp((p < 2.0).sum() - 1, 0, self.ohem_min_kept * len(labels))
        least = torch.sort(p.flatten()).values[rank]
        return torch.where(p < torch.clamp(least, min=self.ohem_threshold), labels, IGNORED)
