"""The verbs of `segformer_core.learner.Learner` in PyTorch; `backend_mindspore/learner.py` is its twin."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from backend_torch.distributed import sum_over_processes, world_size
from backend_torch.kernels import Upsample
from backend_torch.layers import DTYPES
from backend_torch.loss import CrossEntropy
from backend_torch.model import SegFormer
from backend_torch.optimizer import AdamW, LossScale
from backend_torch.prediction import Prediction
from segformer_core.config import Config
from segformer_core.evaluation.plan import Plan
from segformer_core.learner import Batch, Precision, Step
from segformer_core.spec import model as spec
from segformer_core.spec.arrays import check_arrays
from segformer_core.training.masks import KeepMasks
from segformer_core.training.schedule import CLIP_EPS, SMALLEST_WEIGHT, parameter_groups


class Learner:
    def __init__(
        self,
        spec: spec.SegFormer,
        config: Config,
        class_weights: tuple[float, ...] | None,
        precision: Precision,
        device: torch.device,
    ):
        self.spec, self.device = spec, device
        self.model = SegFormer(spec, (DTYPES[precision.inference], DTYPES[precision.training])).to(device)
        self.prediction = Prediction(self._logits, device)
        self.loss = Loss(self.model, CrossEntropy(config.loss, class_weights)).to(device)
        self.reduced_loss = self.loss
        if world_size() > 1:
            self.reduced_loss = nn.parallel.DistributedDataParallel(self.loss)
        groups = parameter_groups(spec, config.optimizer)
        self.optimizer = AdamW(dict(self.model.named_parameters()), groups, config.optimizer)
        self.scale = LossScale(precision.training, device)
        self.clip_norm, self.accumulation_steps = config.optimizer.clip_norm, config.training.accumulation_steps
        check_arrays(spec, self.model.state_dict(), "backend_torch's model")

    def arrays(self) -> dict[str, np.ndarray]:
        return _numpy(self.model.state_dict())

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        check_arrays(self.spec, arrays, "the given set of arrays")
        for name, array in self.model.state_dict().items():
            array.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name])))

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        return _numpy(self.optimizer.arrays() | self.scale.arrays())

    def load_optimizer_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        self.optimizer.load(tensors)
        self.scale.load(tensors)

    def step(self, batch: Batch, keep: KeepMasks, learning_rates: Sequence[float]) -> Step:
        self.model.train()
        self.optimizer.adamw.zero_grad(set_to_none=True)
        statistics = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        sums = torch.zeros(2, device=self.device)  # the loss and the weight of the pixels that it is over
        for part in range(self.accumulation_steps):
            sums += self._backward(self._part(batch, keep, part), last=part == self.accumulation_steps - 1)
        total, weight = sum_over_processes(sums) / world_size()
        finite, scale = self._update(total, weight, learning_rates)
        for name, buffer in self.model.named_buffers():
            buffer.copy_(torch.where(finite, buffer, statistics[name]))
        return Step(total / weight.clamp(min=SMALLEST_WEIGHT), ~finite, scale, self.scale.skipped_steps)

    def _backward(self, inputs: Sequence[Tensor], last: bool) -> Tensor:
        """Add to the gradients -> (loss, weight), detached; the processes' gradients meet in the last part."""
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
        norm = factor * nn.utils.get_total_norm([parameter.grad for parameter in self.optimizer.parameters.values()])
        finite = torch.isfinite(norm) & torch.isfinite(total)
        if self.clip_norm:
            factor = factor * (self.clip_norm / (norm + CLIP_EPS)).clamp(max=1.0)
        self.optimizer(learning_rates, factor, finite)
        self.scale.update(finite)
        return finite, scale

    def _part(self, batch: Batch, keep: KeepMasks, part: int) -> tuple[Tensor, ...]:
        """One of the accumulated batches: images, labels and keep masks on the device."""
        size = len(batch[0]) // self.accumulation_steps
        samples = slice(part * size, (part + 1) * size)
        arrays = (batch[0][samples], batch[1][samples], keep.paths[:, :, samples], keep.channels[samples])
        return tuple(self._tensor(array) for array in arrays)

    def predict(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        return self.prediction.labels(images, plan)

    @torch.inference_mode()
    def forward(self, images: np.ndarray) -> np.ndarray:
        return self._logits(self._tensor(images)).cpu().numpy()

    def _logits(self, images: Tensor) -> Tensor:
        self.model.eval()
        return self.model(images).float()

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)


class Loss(nn.Module):
    """Loss and weight (`CrossEntropy`'s) of the logits at the labels' resolution."""

    def __init__(self, model: SegFormer, cross_entropy: CrossEntropy):
        super().__init__()
        self.model = model
        self.cross_entropy = cross_entropy
        self.upsample = Upsample()

    def forward(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model(images, paths, channels).float()
        return self.cross_entropy(self.upsample(logits, tuple(labels.shape[1:])), labels)


def _numpy(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
