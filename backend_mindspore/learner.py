"""The verbs of `segformer_core.protocol.learner.Learner` in MindSpore; `backend_torch/learner.py` is its twin."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from backend_mindspore.average import Average
from backend_mindspore.compiling import Compiling
from backend_mindspore.distributed import sum_over_processes, world_size
from backend_mindspore.kernels import Upsample
from backend_mindspore.layers import DTYPES, Arithmetic, native_name
from backend_mindspore.loss import CrossEntropy, HardPixels, label_probabilities
from backend_mindspore.model import SegFormer
from backend_mindspore.optimizer import AdamW, LossScale
from backend_mindspore.overlap import Overlap
from backend_mindspore.prediction import Prediction
from segformer_core.config.keys import Config
from segformer_core.config.objective import objective
from segformer_core.protocol import loss_scale
from segformer_core.protocol.groups import CLIP_EPS, SMALLEST_WEIGHT
from segformer_core.protocol.learner import Batch, LogLine, Precision, Step, Training
from segformer_core.protocol.masks import KeepMasks
from segformer_core.protocol.plan import Plan
from segformer_core.spec import model as spec
from segformer_core.spec.arrays import array_specs, check_arrays


class Learner:
    def __init__(
        self,
        spec: spec.SegFormer,
        config: Config,
        training: Training | None,
        precision: Precision,
        log: LogLine,
    ):
        self.spec, self.config, self.training, self.precision = spec, config, training, precision
        self.compiling = Compiling(spec, config, (training, precision), log)
        arithmetic = Arithmetic(DTYPES[precision.inference], DTYPES[precision.training])
        self.model = SegFormer(spec, arithmetic)
        self.parameters = canonical_parameters(spec, self.model)
        self.prediction = Prediction(self._logits)
        self.logits, self.logits_of_any_shape = Logits(self.model), Logits(self.model)
        self.logits_of_any_shape.set_inputs(Tensor(shape=[None, spec.in_channels, None, None], dtype=ms.float32))
        self.static_graphs, self.static_shapes = len(config.evaluation.eval_scales), set[tuple[int, ...]]()

    @cached_property
    def training_step(self) -> "TrainingStep":
        """Made when the first step is asked for: AdamW's moments take twice the network's memory."""
        assert self.training, "a learner that was made without a Training only predicts"
        optimizer = AdamW(self.parameters, self.training.groups, self.config.optimizer)
        loss = Loss(self.model, self.config, self.training.class_weights)
        average = Average(self.parameters, decay) if (decay := self.config.optimizer.ema_decay) else None
        options = self.config.optimizer.clip_norm, self.config.training.accumulation_steps
        return TrainingStep(loss, optimizer, average, LossScale(self.precision.training), *options)

    def arrays(self) -> dict[str, np.ndarray]:
        return _numpy(self.parameters)

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        check_arrays(self.spec, arrays, "the given set of arrays")
        for name, parameter in self.parameters.items():
            parameter.set_data(Tensor(arrays[name]))
        if "training_step" in self.__dict__:
            self.training_step.remember_statistics()

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        averages = self.training_step.average.arrays() if self.training_step.average is not None else {}
        return _numpy(self.training_step.optimizer.arrays() | self.training_step.scale.arrays() | averages)

    def load_optimizer_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        resumed = loss_scale.resumed(arrays, self.precision.training)
        tensors = {name: Tensor(np.array(array, np.float32)) for name, array in resumed.items()}
        self.training_step.optimizer.load(tensors)
        self.training_step.scale.load(tensors)
        if self.training_step.average is not None:
            self.training_step.average.load(tensors)

    def averaged(self) -> AbstractContextManager[None]:
        average = self.training_step.average if self.config.optimizer.ema_decay else None
        return nullcontext() if average is None else average.in_place()

    def step(self, batch: Batch, keep: KeepMasks, learning_rates: Sequence[float]) -> Step:
        self.model.set_train(True)
        rates = Tensor(np.array(learning_rates, np.float32))
        parts = [self._part(batch, keep, part) for part in range(self.training_step.accumulation_steps)]
        with self.compiling("training", batch[0].shape):
            if self.training_step.ranks_before:
                parts = self.training_step.hard(parts)
            for inputs in parts[:-1]:
                self.training_step.accumulate(*inputs)
            return Step(*self.training_step(*parts[-1], rates))

    def _part(self, batch: Batch, keep: KeepMasks, part: int) -> tuple[Tensor, ...]:
        """One of the accumulated batches: images, labels and keep masks on the device."""
        size = len(batch[0]) // self.training_step.accumulation_steps
        samples = slice(part * size, (part + 1) * size)
        arrays = (batch[0][samples], batch[1][samples], keep.paths[:, :, samples], keep.channels[samples])
        return tuple(Tensor(np.ascontiguousarray(array)) for array in arrays)

    def predict(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        return self.prediction.labels(images, plan)

    def labels_and_losses(self, images: Sequence[np.ndarray], plan: Plan, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.prediction.labels_and_losses(images, plan, truth)

    def scores(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        return self.prediction.scores(images, plan).asnumpy()

    def forward(self, images: np.ndarray) -> np.ndarray:
        return self._logits(Tensor(images)).asnumpy()

    def _logits(self, x: Tensor) -> Tensor:
        self.model.set_train(False)
        static = self._has_graph(x.shape)
        with self.compiling("inference", x.shape if static else None):
            return self.logits(x) if static else self.logits_of_any_shape(x)

    def _has_graph(self, shape: tuple[int, ...]) -> bool:
        """Whether images of this shape have a graph of their own; all others share one graph for any size.

        Whole windows have one. So have the first other shapes, as many as there are scales: images of one size have one shape at
        each scale, also in windows, which are cut to a smaller image.
        """
        evaluation = self.config.evaluation
        if evaluation.eval_mode == "slide" and shape[2:] == evaluation.eval_crop_size:
            return True
        if len(self.static_shapes) < self.static_graphs:
            self.static_shapes.add(shape)
        return shape in self.static_shapes


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

    def __init__(self, loss: Loss, parameters: ms.ParameterTuple, scale: LossScale):
        super().__init__()
        self.loss_and_gradients = ms.value_and_grad(loss, None, parameters, has_aux=True)
        self.scale = scale
        self.gradients = parameters.clone(prefix="accumulated", init="zeros")
        self.total = Parameter(Tensor(0, ms.float32), name="accumulated_loss", requires_grad=False)
        self.weight = Parameter(Tensor(0, ms.float32), name="accumulated_weight", requires_grad=False)
        self.map = ops.HyperMap()

    def construct(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> Tensor:
        (total, weight), gradients = self.loss_and_gradients(images, labels, paths, channels, self.scale.value)
        done = self.map(add, self.gradients, gradients)
        return ops.depend(ops.assign_add(self.total, total), (ops.assign_add(self.weight, weight), done))

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
        self.loss_and_gradients = ms.value_and_grad(loss, None, optimizer.parameters, has_aux=True)
        self.accumulate: Any = Accumulate(loss, optimizer.parameters, scale) if accumulation_steps > 1 else None
        self.reduce = nn.DistributedGradReducer(optimizer.parameters) if world_size() > 1 else None
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
        (total, weight), gradients = self.loss_and_gradients(images, labels, paths, channels, scale)
        if self.accumulate is not None:
            total, weight, gradients = self.accumulate.taken(total, weight, gradients)
        if self.reduce is not None:
            gradients = self.reduce(gradients)
            total, weight = sum_over_processes(total) / world_size(), sum_over_processes(weight) / world_size()
        total, weight = total / scale, ops.maximum(weight, SMALLEST_WEIGHT)
        factor = 1.0 / (scale * weight)
        norm = factor * ops.sqrt(ops.addn(self.map(squared_norm, gradients)))
        finite = ops.logical_and(ops.isfinite(norm), ops.isfinite(total))
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
    return ops.assign_add(accumulated, value)


@take.register("Tensor", "Tensor")
def _(accumulated, value):
    value = value + accumulated
    return ops.depend(value, ops.assign(accumulated, ops.zeros_like(value)))


@squared_norm.register("Tensor")
def _(gradient):
    return ops.ReduceSum()(ops.Square()(gradient))


@restore.register("Tensor", "Tensor")
def _(statistic, sound):
    return ops.assign(statistic, sound)


@keep_if_finite.register("Tensor", "Tensor", "Tensor")
def _(finite, statistic, sound):
    """After an overflow restore the copy of the statistics; after a finite step renew the copy."""
    value = ops.Select()(finite, statistic, sound)
    return ops.depend(ops.assign(statistic, value), ops.assign(sound, value))


class Logits(nn.Cell):
    """(B, 3, H, W) -> (B, K, H/4, W/4) float32."""

    def __init__(self, model: SegFormer):
        super().__init__()
        self.model = model

    def construct(self, images: Tensor) -> Tensor:
        return self.model(images).to(ms.float32)


def canonical_parameters(spec: spec.SegFormer, model: SegFormer) -> dict[str, Parameter]:
    """The model's parameters under the spec's names. Raises WeightsError if the two are not the same set."""
    unnamed = dict(model.parameters_dict())
    names = {array.name: native_name(array) for array in array_specs(spec)}
    parameters = {name: unnamed.pop(native) for name, native in names.items() if native in unnamed}
    check_arrays(spec, parameters | unnamed, "backend_mindspore's model")
    return parameters


def _numpy(parameters: Mapping[str, Parameter]) -> dict[str, np.ndarray]:
    return {name: parameter.asnumpy().copy() for name, parameter in parameters.items()}
