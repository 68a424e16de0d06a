"""The loss of a batch, and one training step; `backend_mindspore/training_step.py` is its twin."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from backend_torch.average import Average
from backend_torch.distributed import sum_over_processes, world_size
from backend_torch.kernels import Upsample
from backend_torch.loss import CrossEntropy, HardPixels, label_probabilities
from backend_torch.model import SegFormer
from backend_torch.optimizer import AdamW, LossScale
from backend_torch.overlap import Overlap
from segformer_core.config.keys import Config
from segformer_core.config.objective import objective
from segformer_core.protocol.groups import CLIP_EPS, SMALLEST_WEIGHT


class Loss(nn.Module):
    """Loss and weight (`CrossEntropy`'s) of the logits at the labels' resolution; loss / weight is the objective.

    `ranks_before`: of a batch in several parts the hard pixels are known before; see `TrainingStep.hard`.
    """

    def __init__(self, model: SegFormer, config: Config, class_weights: tuple[float, ...] | None):
        super().__init__()
        self.model = model
        self.cross_entropy = CrossEntropy(config.loss, class_weights)
        wanted = objective(config.loss.loss)
        self.overlap = Overlap(wanted) if wanted.over_regions else None
        self.hard_pixels = HardPixels(config.loss) if config.loss.ohem_threshold else None
        self.ranks_before = self.hard_pixels is not None and config.training.accumulation_steps > 1
        self.upsample = Upsample()

    def forward(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self._logits(images, labels, paths, channels)
        chosen = labels
        if self.hard_pixels is not None and not self.ranks_before:
            chosen = self.hard_pixels(label_probabilities(logits, labels), labels)
        total, weight = self.cross_entropy(logits, chosen)
        if self.overlap is not None:
            weight = sum_over_processes(weight) / world_size()
            weight = torch.where(weight > 0, weight, 1.0)  # without a pixel of that kind the loss is the overlap's
            total = total + weight * self.overlap(logits, labels)
        return total, weight

    def probabilities(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> Tensor:
        return label_probabilities(self._logits(images, labels, paths, channels), labels)

    def _logits(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> Tensor:
        return self.upsample(self.model(images, paths, channels).float(), tuple(labels.shape[1:]))


class TrainingStep:
    """Forward, backward and update of a batch in `accumulation_steps` parts."""

    def __init__(
        self,
        loss: Loss,
        optimizer: AdamW,
        average: Average | None,
        scale: LossScale,
        clip_norm: float,
        accumulation_steps: int,
    ):
        self.loss, self.optimizer, self.average, self.scale = loss, optimizer, average, scale
        self.clip_norm, self.accumulation_steps = clip_norm, accumulation_steps
        self.ranks_before = loss.ranks_before
        self.hard_pixels: Any = loss.hard_pixels
        self.reduced_loss: Any = nn.parallel.DistributedDataParallel(loss) if world_size() > 1 else loss

    def __call__(self, parts: Sequence[tuple[Tensor, ...]], learning_rates: Sequence[float]) -> tuple[Tensor, ...]:
        """-> loss, whether the step overflowed, the loss scale it was computed with, steps skipped in a row."""
        self.optimizer.adamw.zero_grad(set_to_none=True)
        statistics = {name: buffer.clone() for name, buffer in self.loss.model.named_buffers()}
        if self.ranks_before:
            parts = self.hard(parts)
            for name, buffer in self.loss.model.named_buffers():
                buffer.copy_(statistics[name])
        sums = torch.zeros(2, device=parts[0][0].device)  # the loss and the weight of the pixels that it is over
        for index, inputs in enumerate(parts):
            sums += self._backward(inputs, last=index == len(parts) - 1)
        total, weight = sum_over_processes(sums) / world_size()
        finite, scale = self._update(total, weight, learning_rates)
        for name, buffer in self.loss.model.named_buffers():
            buffer.copy_(torch.where(finite, buffer, statistics[name]))
        if self.average:
            self.average(self.optimizer.steps, finite)
        return total / weight.clamp(min=SMALLEST_WEIGHT), ~finite, scale, self.scale.skipped_steps

    @torch.no_grad()
    def hard(self, parts: Sequence[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
        """The parts with the labels of easy pixels set to 255. They are ranked together, after a pass of their own."""
        p = torch.cat([self.loss.probabilities(*inputs) for inputs in parts])
        labels = self.hard_pixels(p, torch.cat([labels for _, labels, *_ in parts])).chunk(len(parts))
        return [(images, hard, *masks) for (images, _, *masks), hard in zip(parts, labels, strict=True)]

    def _backward(self, inputs: Sequence[Tensor], last: bool) -> Tensor:
        """Add to the gradients -> (loss, weight), detached; the processes sum their gradients in the last part."""
        if last or world_size() == 1:
            total, weight = self.reduced_loss(*inputs)
            (total * self.scale.value).backward()
        else:
            with self.reduced_loss.no_sync():
                total, weight = self.reduced_loss(*inputs)
                (total * self.scale.value).backward()
        return torch.stack((total.detach(), weight))

    def _update(self, total: Tensor, weight: Tensor, learning_rates: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Step along the accumulated gradients -> whether they are finite, the loss scale they were computed with."""
        scale = self.scale.value
        factor = 1.0 / (scale * weight.clamp(min=SMALLEST_WEIGHT))
        norm = factor * nn.utils.get_total_norm(self.optimizer.gradients())
        finite = torch.isfinite(norm) & torch.isfinite(total)
        if self.clip_norm:
            factor = factor * (self.clip_norm / (norm + CLIP_EPS)).clamp(max=1.0)
        self.optimizer(learning_rates, factor, finite)
        self.scale(finite)
        return finite, scale
