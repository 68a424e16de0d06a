"""Carries out a plan: from a function that gives logits to scores and labels; `backend_mindspore/prediction.py` is its twin."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend_torch.kernels import Upsample
from segformer_core.data.dataset import IGNORED
from segformer_core.protocol.plan import SMALLEST_PROBABILITY, Plan, View


class Prediction:
    """`logits` is (B, 3, H, W) -> (B, K, h, w) float32: a network, or a file that was exported from one."""

    def __init__(self, logits: Callable[[Tensor], Tensor], device: torch.device):
        self.logits, self.device = logits, device
        self.upsample = Upsample()

    def predict(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """(B, 3, H, W) float32 for each view, of its size -> (B, *size) uint8."""
        return most_likely(self.scores(images, plan)).cpu().numpy()

    @torch.inference_mode()
    def labels_and_confidences(self, images: Sequence[np.ndarray], plan: Plan) -> tuple[np.ndarray, np.ndarray]:
        """-> (B, *size) uint8, and (B, *size) float32: the largest probability."""
        scores = self.scores(images, plan)
        best = largest(scores).div_(plan.maps) if plan.averages else largest(softmax(scores))
        return most_likely(scores).cpu().numpy(), best.cpu().numpy()

    @torch.inference_mode()
    def probabilities(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """-> (B, K, *size) float32: the softmax of the scores; where the plan averages, the mean of all probabilities."""
        scores = self.scores(images, plan)
        return (scores.div_(plan.maps) if plan.averages else softmax(scores)).cpu().numpy()

    @torch.inference_mode()
    def labels_and_losses(self, images: Sequence[np.ndarray], plan: Plan, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """-> (B, *size) uint8, and (B,) float64: each image's sum of -log p of the true class; 255 does not count."""
        scores = self.scores(images, plan)
        losses = negative_log_likelihood(scores, self._tensor(truth), plan.averages)
        return most_likely(scores).cpu().numpy(), losses.sum(2).cpu().numpy().sum(1, dtype=np.float64)

    @torch.inference_mode()
    def scores(self, images: Sequence[np.ndarray], plan: Plan) -> Tensor:
        """(B, 3, H, W) for each view -> (B, K, *size): logits, or where the plan averages the sum of all probabilities."""
        total: Any = None
        for image, view in zip(images, plan.views, strict=True):
            x = self._tensor(image)
            for mirrored in plan.mirrorings:
                scores = self._view(x.flip(3), view).flip(3) if mirrored else self._view(x, view)
                scores = self.upsample(scores, plan.size)
                if plan.averages:
                    scores = softmax(scores)
                total = scores if total is None else total.add_(scores)
        return total

    def _view(self, x: Tensor, view: View) -> Tensor:
        """(B, 3, H, W) -> (B, K, h, w) logits, with windows their mean (B, K, H, W)."""
        if not view.windows:
            return self.logits(x)
        total: Any = None
        height, width = view.crop
        for top, left in view.windows:
            logits = self.upsample(self.logits(x[:, :, top : top + height, left : left + width]), view.crop)
            if total is None:
                total = logits.new_zeros((*logits.shape[:2], *view.size))
            total[:, :, top : top + height, left : left + width] += logits
        return total.div_(self._tensor(view.counts))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)


def most_likely(scores: Tensor) -> Tensor:
    """(B, K, H, W) -> (B, H, W) uint8."""
    return scores.argmax(1).to(torch.uint8)


def negative_log_likelihood(scores: Tensor, truth: Tensor, are_probabilities: bool) -> Tensor:
    """(B, K, H, W) logits, or sums of probabilities, and (B, H, W) int32 -> (B, H, W): -log p of the true class; 0 where 255."""
    logits = scores.clamp(min=SMALLEST_PROBABILITY).log() if are_probabilities else scores
    counted = truth != IGNORED
    true = logits.gather(1, torch.where(counted, truth, 0).long()[:, None]).squeeze(1)
    return torch.where(counted, logits.logsumexp(1) - true, 0.0)


def largest(x: Tensor) -> Tensor:
    """(B, K, H, W) -> (B, H, W)."""
    return x.amax(1)


def softmax(logits: Tensor) -> Tensor:
    return torch.softmax(logits, 1)
