"""The verbs of `segformer_core.learner.Learner` in PyTorch; `backend_mindspore/learner.py` is its twin."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from backend_torch.kernels import Upsample
from backend_torch.loss import CrossEntropy
from backend_torch.model import SegFormer
from backend_torch.optimizer import adamw
from segformer_core.config import Config
from segformer_core.learner import Batch, Step
from segformer_core.spec import model as spec
from segformer_core.spec.arrays import check_arrays
from segformer_core.training.masks import KeepMasks
from segformer_core.training.schedule import parameter_groups


class Learner:
    def __init__(self, spec: spec.SegFormer, config: Config, device: torch.device):
        self.spec, self.device = spec, device
        self.model = SegFormer(spec).to(device)
        self.loss = CrossEntropy()
        self.upsample = Upsample()
        self.groups = parameter_groups(spec, config.optimizer)
        self.optimizer = adamw(dict(self.model.named_parameters()), self.groups, config.optimizer)
        check_arrays(spec, self.model.state_dict(), "backend_torch's model")

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: array.detach().cpu().numpy().copy() for name, array in self.model.state_dict().items()}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        check_arrays(self.spec, arrays, "the given set of arrays")
        for name, array in self.model.state_dict().items():
            array.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name])))

    def step(self, batch: Batch, keep: KeepMasks, learning_rates: Sequence[float]) -> Step:
        self.model.train()
        for group, rate in zip(self.optimizer.param_groups, learning_rates, strict=True):
            group["lr"] = rate
        images, labels = self._tensor(batch[0]), self._tensor(batch[1])
        loss = self.compute_loss(images, labels, self._tensor(keep.paths), self._tensor(keep.channels))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return Step(loss.detach())

    def compute_loss(
        self, images: torch.Tensor, labels: torch.Tensor, paths: torch.Tensor, channels: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy of the logits at the labels' resolution: a scalar with its graph."""
        logits = self.model(images, paths, channels)
        return self.loss(self.upsample(logits, tuple(labels.shape[1:])), labels)

    @torch.inference_mode()
    def predict(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        self.model.eval()
        logits = self.model(self._tensor(image[None]))
        return self.upsample(logits, (height, width))[0].argmax(0).to(torch.uint8).cpu().numpy()

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)
