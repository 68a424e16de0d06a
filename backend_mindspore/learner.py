"""The verbs of `segformer_core.protocol.learner.Learner` in MindSpore; `backend_torch/learner.py` is its twin."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn

from backend_mindspore.average import Average
from backend_mindspore.compiling import Compiling
from backend_mindspore.layers import DTYPES, Arithmetic, native_name
from backend_mindspore.model import SegFormer
from backend_mindspore.native.library import calls_to, library_for
from backend_mindspore.optimizer import AdamW, LossScale
from backend_mindspore.overflow import detection, saturates
from backend_mindspore.prediction import Prediction
from backend_mindspore.training_step import Loss, TrainingStep
from segformer_core.config.keys import Config
from segformer_core.protocol import loss_scale
from segformer_core.protocol.bands import Arrays, Read
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
        fused_attention: bool = True,
    ):
        self.spec, self.config, self.training, self.precision = spec, config, training, precision
        self.log = log
        arithmetic = Arithmetic(DTYPES[precision.inference], DTYPES[precision.training], fused_attention)
        self.library = library_for(config.runtime, log)
        with calls_to(self.library):
            self.model = SegFormer(spec, arithmetic)
        self.compiling = Compiling(spec, config, training, log, self.library, precision, fused_attention)
        self.parameters = canonical_parameters(spec, self.model)
        self.prediction = Prediction(self._logits, self.library)
        self.logits, self.logits_of_any_shape = Logits(self.model), Logits(self.model)
        self.logits_of_any_shape.set_inputs(Tensor(shape=[None, spec.in_channels, None, None], dtype=ms.float32))
        self.static_graphs, self.static_shapes = len(config.evaluation.eval_scales), set[tuple[int, ...]]()

    @cached_property
    def training_step(self) -> TrainingStep:
        """Made when the first step is asked for: AdamW's moments take twice the network's memory."""
        assert self.training, "a learner that was made without a Training only predicts"
        optimizer = AdamW(self.parameters, self.training.groups, self.config.optimizer)
        with calls_to(self.library):
            loss = Loss(self.model, self.config, self.training.class_weights)
        average = Average(self.parameters, decay) if (decay := self.config.optimizer.ema_decay) else None
        options = self.config.optimizer.clip_norm, self.config.training.accumulation_steps
        if self.precision.training == "fp16" or saturates():
            self.log(f"a step that overflows is told by {detection()}")
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
        return self.prediction.predict(images, plan)

    def bands(self, read: Read, plan: Plan, confidences: bool = False) -> Iterator[tuple[int, Arrays]]:
        return self.prediction.bands(read, plan, confidences)

    def labels_and_confidences(self, images: Sequence[np.ndarray], plan: Plan) -> tuple[np.ndarray, np.ndarray]:
        return self.prediction.labels_and_confidences(images, plan)

    def probabilities(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        return self.prediction.probabilities(images, plan)

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
        if evaluation.eval_mode != "whole" and shape[2:] == evaluation.eval_crop_size:
            return True
        if len(self.static_shapes) < self.static_graphs:
            self.static_shapes.add(shape)
        return shape in self.static_shapes


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
