"""The verbs of `segformer_core.protocol.learner.Learner` in PyTorch; `backend_mindspore/learner.py` is its twin."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from backend_torch.average import Average
from backend_torch.compiling import Compiling
from backend_torch.layers import DTYPES, Arithmetic
from backend_torch.memory import keep_freed_memory
from backend_torch.model import SegFormer
from backend_torch.optimizer import AdamW, LossScale
from backend_torch.prediction import Prediction
from backend_torch.training_step import Loss, TrainingStep
from segformer_core.config.keys import Config
from segformer_core.protocol import loss_scale
from segformer_core.protocol.bands import Arrays, Read
from segformer_core.protocol.learner import Batch, LogLine, Precision, Step, Training
from segformer_core.protocol.masks import KeepMasks
from segformer_core.protocol.plan import Plan
from segformer_core.spec import model as spec
from segformer_core.spec.arrays import check_arrays


class Learner:
    def __init__(
        self,
        spec: spec.SegFormer,
        config: Config,
        training: Training | None,
        precision: Precision,
        device: torch.device,
        log: LogLine,
        fused_attention: bool = True,
    ):
        self.spec, self.config, self.training, self.precision, self.device = spec, config, training, precision, device
        self.fused_attention = fused_attention
        if training is None and device.type == "cpu":
            keep_freed_memory()
        self.model = self._network().to(device)
        self.compiling = Compiling(spec, config, training, log, self.model)
        self.prediction = Prediction(self._logits, device)

    def _network(self) -> SegFormer:
        """Its arrays are the spec's. `TransformersLearner` has another network in its place."""
        arithmetic = Arithmetic(DTYPES[self.precision.inference], DTYPES[self.precision.training], self.fused_attention)
        model = SegFormer(self.spec, arithmetic)
        check_arrays(self.spec, model.state_dict(), "backend_torch's model")
        return model

    @cached_property
    def training_step(self) -> TrainingStep:
        """Made when the first step is asked for: AdamW's moments take twice the network's memory."""
        assert self.training, "a learner that was made without a Training only predicts"
        optimizer = AdamW(dict(self.model.named_parameters()), self.training.groups, self.config.optimizer)
        loss = Loss(self.model, self.config, self.training.class_weights).to(self.device)
        average = Average(self.model.state_dict(), decay) if (decay := self.config.optimizer.ema_decay) else None
        options = self.config.optimizer.clip_norm, self.config.training.accumulation_steps
        return TrainingStep(loss, optimizer, average, LossScale(self.precision.training, self.device), *options)

    def arrays(self) -> dict[str, np.ndarray]:
        return _numpy(self.model.state_dict())

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        check_arrays(self.spec, arrays, "the given set of arrays")
        for name, array in self.model.state_dict().items():
            array.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name])))

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        averages = self.training_step.average.arrays() if self.training_step.average else {}
        return _numpy(self.training_step.optimizer.arrays() | self.training_step.scale.arrays() | averages)

    def load_optimizer_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        resumed = loss_scale.resumed(arrays, self.precision.training)
        tensors = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in resumed.items()}
        self.training_step.optimizer.load(tensors)
        self.training_step.scale.load(tensors)
        if self.training_step.average:
            self.training_step.average.load(tensors)

    def averaged(self) -> AbstractContextManager[None]:
        average = self.training_step.average if self.config.optimizer.ema_decay else None
        return average.in_place() if average else nullcontext()

    def step(self, batch: Batch, keep: KeepMasks, learning_rates: Sequence[float]) -> Step:
        self.model.train()
        parts = [self._part(batch, keep, part) for part in range(self.training_step.accumulation_steps)]
        return Step(*self.training_step(parts, learning_rates))

    def _part(self, batch: Batch, keep: KeepMasks, part: int) -> tuple[Tensor, ...]:
        """One of the accumulated batches: images, labels and keep masks on the device."""
        size = len(batch[0]) // self.training_step.accumulation_steps
        samples = slice(part * size, (part + 1) * size)
        arrays = (batch[0][samples], batch[1][samples], keep.paths[:, :, samples], keep.channels[samples])
        return tuple(self._tensor(array) for array in arrays)

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
        return self.prediction.scores(images, plan).cpu().numpy()

    @torch.inference_mode()
    def forward(self, images: np.ndarray) -> np.ndarray:
        return self._logits(self._tensor(images)).cpu().numpy()

    def _logits(self, images: Tensor) -> Tensor:
        self.model.eval()
        return self.compiling(images).float()

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)


def _numpy(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
