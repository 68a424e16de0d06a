"""The layers and kernels of both frameworks behind the same few verbs over numpy arrays."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import numpy as np

from parity_tests.support import mindspore_runtime, runtime_of
from segformer_core.spec.arrays import ArraySpec


class Framework:
    """One framework's. MindSpore's name is followed by one of `support.FORMS`."""

    def __init__(self, name: str):
        self.name, _, form = name.partition(", ")
        parts = ("layers", "kernels", "attention", "device")
        self.layers, self.kernels, self.attention, device = (import_module(f"backend_{self.name}.{part}") for part in parts)
        self.tensor: Callable[[np.ndarray], Any]
        if self.name == "torch":
            import torch

            self.device = device.connect(runtime_of("torch")).device
            self.runtime = None
            self.tensor = lambda array: torch.from_numpy(array).to(self.device)
        else:
            from mindspore import Tensor

            self.runtime = mindspore_runtime(form)
            device.connect(self.runtime)
            self.tensor = Tensor

    def as_in_a_learner(self) -> AbstractContextManager[object]:
        """What is made in this context calls our own kernels, if the form does."""
        if self.runtime is None:
            return nullcontext()
        from backend_mindspore.native.library import calls_to, library_for

        return calls_to(library_for(self.runtime, print))

    def build(self, leaf, arrays):
        layer = self.layers.build(leaf)
        if self.name == "torch":
            import torch

            with torch.no_grad():
                for name, value in arrays.items():
                    getattr(layer, name).copy_(torch.from_numpy(value))
            return layer.to(self.device)
        for name, value in arrays.items():
            getattr(layer, self.native(leaf, name)).set_data(self.tensor(value))
        return layer

    def train(self, layer, training: bool):
        return layer.train(training) if self.name == "torch" else layer.set_train(training)

    def gradients(self, layer, leaf, x, weights) -> dict[str, np.ndarray]:
        """Those of Σ weights · layer(x) in training, by "x" and by the layer's arrays."""
        self.train(layer, True)
        if self.name == "torch":
            given = self.tensor(x).requires_grad_()
            (layer(given) * self.tensor(weights)).sum().backward()
            return {"x": self.numpy(given.grad)} | {name: self.numpy(value.grad) for name, value in layer.named_parameters()}
        from parity_tests.mindspore_cells import Weighed

        by_x, by_arrays = Weighed(layer)(self.tensor(x), self.tensor(weights))
        names = {getattr(layer, native).name: name for name in leaf.shapes() for native in [self.native(leaf, name)]}
        found = {names[p.name]: self.numpy(value) for p, value in zip(layer.trainable_params(), by_arrays, strict=True)}
        return {"x": self.numpy(by_x)} | found

    def upsampling_gradient(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """That of Σ weights · Upsample(x), in training."""
        upsample = self.train(self.kernels.Upsample(), True)
        if self.name == "torch":
            given = self.tensor(x).requires_grad_()
            (upsample(given, weights.shape[2:]) * self.tensor(weights)).sum().backward()
            return self.numpy(given.grad)
        from parity_tests.mindspore_cells import WeighedMap

        return self.numpy(WeighedMap(upsample)(self.tensor(x), self.tensor(weights)))

    def numpy(self, tensor) -> np.ndarray:
        return tensor.detach().cpu().numpy() if self.name == "torch" else tensor.asnumpy()

    def array(self, layer, leaf, name: str) -> np.ndarray:
        return self.numpy(getattr(layer, self.native(leaf, name) if self.name == "mindspore" else name))

    def native(self, leaf, name: str) -> str:
        return self.layers.native_name(ArraySpec(f"layer.{name}", (), leaf)).removeprefix("layer.")
