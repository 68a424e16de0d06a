"""The loss of a batch, and one training step as a graph; `backend_torch/training_step.py` is its twin."""

from collections.abc import Sequence
from typing import Any

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops

from backend_mindspore.average import Average
from backend_mindspore.distributed import sum_over_processes, world_size
from backend_mindspore.kernels import Upsample, chosen
from backend_mindspore.loss import CrossEntropy, HardPixels, label_probabilities
from backend_mindspore.model import SegFormer
from backend_mindspore.optimizer import AdamW, LossScale
from backend_mindspore.overflow import DeviceStatus, saturates
from backend_mindspore.overlap import Overlap
from segformer_core.config.keys import Config
from segformer_core.config.objective import objective
from segformer_core.protocol.groups import CLIP_EPS, SMALLEST_WEIGHT


class Loss(nn.Cell):
    """Loss and weight (`CrossEntropy`'s) of the logits at the labels' resolution; loss / weight is the objective, scaled.

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

    def construct(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        logits = self._logits(images, labels, paths, channels)
        chosen = labels
        if self.hard_pixels is not None and not self.ranks_before:
            chosen = self.hard_pixels(label_probabilities(logits, labels), labels)
        total, weight = self.cross_entropy(logits, chosen)
        if self.overlap is not None:
            weight = ops.stop_gradient(sum_over_processes(weight) / world_size())
            weight = ops.where(weight > 0, weight, 1.0)  # without a pixel of that kind the loss is the overlap's
            total = total + weight * self.overlap(logits, labels)
        return total * scale, weight

    def probabilities(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> Tensor:
        return label_probabilities(self._logits(images, labels, paths, channels), labels)

    def _logits(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> Tensor:
        return self.upsample(self.model(images, paths, channels).to(ms.float32), labels.shape[1:])


class Probabilities(nn.Cell):
    """`Loss.probabilities` of one part of a batch; BatchNorm's running statistics stay as they were."""

    def __init__(self, loss: Loss, statistics: ms.ParameterTuple, sound_statistics: ms.ParameterTuple):
        super().__init__()
        self.loss = loss
        self.statistics, self.sound_statistics = statistics, sound_statistics
        self.map = ops.HyperMap()

    def construct(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> Tensor:
        p = self.loss.probabilities(images, labels, paths, channels)
        return ops.depend(p, self.map(restore, self.statistics, self.sound_statistics))


class Accumulate(nn.Cell):
    """Loss, weight and gradients of one part of a batch, added to those of the parts before."""

    def __init__(self, loss: Loss, optimizer: AdamW, scale: LossScale, status: DeviceStatus | None):
        super().__init__()
        self.loss_and_gradients = ms.value_and_grad(loss, None, optimizer.parameters, has_aux=True)
        self.optimizer, self.scale = optimizer, scale
        self.status: Any = status
        self.gradients = optimizer.updated.clone(prefix="accumulated", init="zeros")
        self.total = Parameter(Tensor(0, ms.float32), name="accumulated_loss", requires_grad=False)
        self.weight = Parameter(Tensor(0, ms.float32), name="accumulated_weight", requires_grad=False)
        self.map = ops.HyperMap()

    def construct(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> Tensor:
        if self.status is not None:
            images = self.status.cleared(images)
        (total, weight), gradients = self.loss_and_gradients(images, labels, paths, channels, self.scale.value)
        gradients = self.optimizer.gathered(gradients)
        done = self.map(add, self.gradients, gradients)
        if self.status is not None:
            done = ops.depend(self.status.note(gradients), done)
        return ops.depend(ops.AssignAdd()(self.total, total), (ops.AssignAdd()(self.weight, weight), done))

    def taken(self, total: Tensor, weight: Tensor, gradients: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """The sums with the last part's; the next batch starts from zero."""
        return take(self.total, total), take(self.weight, weight), self.map(take, self.gradients, gradients)


class TrainingStep(nn.Cell):
    """Forward, backward and update as one graph; of a batch in several parts, `accumulate` takes all but the last."""

    def __init__(
        self,
        loss: Loss,
        optimizer: AdamW,
        average: Average | None,
        scale: LossScale,
        clip_norm: float,
        accumulation_steps: int,
    ):
        super().__init__()
        self.optimizer, self.scale = optimizer, scale
        self.average: Any = average
        self.clip_norm, self.accumulation_steps = clip_norm, accumulation_steps
        self.status: Any = DeviceStatus() if saturates() else None
        self.loss_and_gradients = ms.value_and_grad(loss, None, optimizer.parameters, has_aux=True)
        parts = loss, optimizer, scale, self.status
        self.accumulate: Any = Accumulate(*parts) if accumulation_steps > 1 else None
        several = world_size() > 1
        self.reduce = nn.DistributedGradReducer(optimizer.updated, mean=True, degree=world_size()) if several else None
        bn = loss.model.decode_head.linear_fuse.bn
        self.statistics = ms.ParameterTuple([bn.moving_mean, bn.moving_variance])
        self.sound_statistics = self.statistics.clone(prefix="sound", init="same")
        self.ranks_before = loss.ranks_before
        self.hard_pixels: Any = loss.hard_pixels
        self.probabilities: Any = Probabilities(loss, self.statistics, self.sound_statistics) if self.ranks_before else None
        self.map = ops.HyperMap()

    def remember_statistics(self) -> None:
        for sound, statistic in zip(self.sound_statistics, self.statistics, strict=True):
            sound.set_data(Tensor(statistic.asnumpy()))

    def hard(self, parts: Sequence[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
        """The parts with the labels of easy pixels set to 255. They are ranked together, after a pass of their own."""
        p = ops.concat([self.probabilities(*inputs) for inputs in parts])
        labels = ops.chunk(self.hard_pixels(p, ops.concat([labels for _, labels, *_ in parts])), len(parts))
        return [(images, hard, *masks) for (images, _, *masks), hard in zip(parts, labels, strict=True)]

    def construct(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor, rates: Tensor) -> tuple[Tensor, ...]:
        """-> loss, whether the step overflowed, the loss scale it was computed with, steps skipped in a row."""
        scale = self.scale.value + 0.0
        if self.status is not None:
            images = self.status.cleared(images)
        (total, weight), gradients = self.loss_and_gradients(images, labels, paths, channels, scale)
        gradients = self.optimizer.gathered(gradients)
        if self.accumulate is not None:
            total, weight, gradients = self.accumulate.taken(total, weight, gradients)
        if self.reduce is not None:
            gradients = self.reduce(gradients)
            total, weight = sum_over_processes(total) / world_size(), sum_over_processes(weight) / world_size()
        total, weight = total / scale, ops.maximum(weight, SMALLEST_WEIGHT)
        factor = 1.0 / (scale * weight)
        norm = factor * ops.sqrt(ops.addn(self.map(squared_norm, gradients)))
        finite = ops.logical_and(ops.isfinite(norm), ops.isfinite(total))
        if self.status is not None:
            finite = ops.logical_and(finite, self.status.finite(gradients))
        if self.clip_norm:
            factor = factor * ops.minimum(self.clip_norm / (norm + CLIP_EPS), 1.0)
        done = self.optimizer(gradients, rates, factor, finite)
        done = ops.depend(done, self.map(ops.partial(keep_if_finite, finite), self.statistics, self.sound_statistics))
        if self.average is not None:
            done = ops.depend(done, self.average(ops.depend(self.optimizer.steps + 0.0, done), finite))
        skipped = ops.depend(self.scale(finite), done)
        return total / weight, ops.logical_not(finite), scale, skipped


add, take = ops.MultitypeFuncGraph("add"), ops.MultitypeFuncGraph("take")
squared_norm, restore = ops.MultitypeFuncGraph("squared_norm"), ops.MultitypeFuncGraph("restore")
keep_if_finite = ops.MultitypeFuncGraph("keep_if_finite")


@add.register("Tensor", "Tensor")
def _(accumulated, value):
    return ops.AssignAdd()(accumulated, value)


@take.register("Tensor", "Tensor")
def _(accumulated, value):
    value = value + accumulated
    return ops.depend(value, ops.Assign()(accumulated, ops.zeros_like(value)))


@squared_norm.register("Tensor")
def _(gradient):
    return ops.ReduceSum()(ops.Square()(gradient))


@restore.register("Tensor", "Tensor")
def _(statistic, sound):
    return ops.Assign()(statistic, sound)


@keep_if_finite.register("Tensor", "Tensor", "Tensor")
def _(finite, statistic, sound):
    """After an overflow restore the copy of the statistics; after a finite step renew the copy."""
    value = chosen(finite, statistic, sound)
    return ops.depend(ops.Assign()(statistic, value), ops.Assign()(sound, value))
