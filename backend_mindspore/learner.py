"""The verbs of `segformer_core.learner.Learner` in MindSpore; `backend_torch/learner.py` is its twin."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from backend_mindspore.kernels import Upsample
from backend_mindspore.layers import LEAF_NAMES
from backend_mindspore.loss import CrossEntropy
from backend_mindspore.model import SegFormer
from backend_mindspore.optimizer import AdamW
from segformer_core.config import Config
from segformer_core.learner import Batch, Step
from segformer_core.spec import model as spec
from segformer_core.spec.arrays import array_specs, check_arrays
from segformer_core.training.masks import KeepMasks
from segformer_core.training.schedule import parameter_groups


class Learner:
    def __init__(self, spec: spec.SegFormer, config: Config):
        self.spec = spec
        self.model = SegFormer(spec)
        self.parameters = canonical_parameters(spec, self.model)
        self.optimizer_config = config.optimizer
        self.prediction = Prediction(self.model)

    @cached_property
    def training(self) -> "TrainingStep":
        """Made when the first step is asked for: AdamW's moments take twice the network's memory."""
        groups = parameter_groups(self.spec, self.optimizer_config)
        return TrainingStep(self.model, AdamW(self.parameters, groups, self.optimizer_config))

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: parameter.asnumpy().copy() for name, parameter in self.parameters.items()}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        check_arrays(self.spec, arrays, "the given set of arrays")
        for name, parameter in self.parameters.items():
            parameter.set_data(Tensor(arrays[name]))

    def step(self, batch: Batch, keep: KeepMasks, learning_rates: Sequence[float]) -> Step:
        self.model.set_train(True)
        rates = Tensor(np.array(learning_rates, np.float32))
        inputs = (Tensor(batch[0]), Tensor(batch[1]), Tensor(keep.paths), Tensor(keep.channels))
        return Step(self.training(*inputs, rates))

    def predict(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        self.model.set_train(False)
        return self.prediction(Tensor(image[None]), height, width).asnumpy().astype(np.uint8)


class Loss(nn.Cell):
    """Cross-entropy of the logits at the labels' resolution: a scalar."""

    def __init__(self, model: SegFormer):
        super().__init__()
        self.model = model
        self.loss = CrossEntropy()
        self.upsample = Upsample()

    def construct(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> Tensor:
        logits = self.model(images, paths, channels)
        return self.loss(self.upsample(logits, labels.shape[1:]), labels)


class TrainingStep(nn.Cell):
    """Forward, backward and update as one graph."""

    def __init__(self, model: SegFormer, optimizer: AdamW):
        super().__init__()
        self.optimizer = optimizer
        self.loss_and_gradients = ms.value_and_grad(Loss(model), None, optimizer.parameters)

    def construct(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor, rates: Tensor) -> Tensor:
        loss, gradients = self.loss_and_gradients(images, labels, paths, channels)
        return ops.depend(loss, self.optimizer(gradients, rates))


class Prediction(nn.Cell):
    """(1, 3, h, w) -> (height, width) int labels."""

    def __init__(self, model: SegFormer):
        super().__init__()
        self.model = model
        self.upsample = Upsample()

    def construct(self, image: Tensor, height: int, width: int) -> Tensor:
        logits = self.upsample(self.model(image), (height, width))
        return ops.Argmax(axis=1, output_type=ms.int32)(logits)[0]


def canonical_parameters(spec: spec.SegFormer, model: SegFormer) -> dict[str, Parameter]:
    """The model's parameters under the spec's names. Raises WeightsError if the two are not the same set."""
    own, found = dict(model.parameters_dict()), {}
    for array in array_specs(spec):
        path, _, leaf = array.name.rpartition(".")
        native = f"{path}.{LEAF_NAMES.get(type(array.owner), {}).get(leaf, leaf)}"
        if native in own:
            found[array.name] = own.pop(native)
    check_arrays(spec, found | own, "backend_mindspore's model")
    return found
