"""Cells that the tests compile; MindSpore's graph parser needs them in a file of their own."""

import mindspore as ms
from mindspore import Tensor, nn, ops

from backend_mindspore.bands import cut, filled, joined
from backend_mindspore.prediction import flip, most_likely, resize, softmax
from segformer_core.protocol.groups import SMALLEST_WEIGHT


class FeaturesAndLogits(nn.Cell):
    """The tokens of c1..c4 and the logits."""

    def __init__(self, model: nn.Cell):
        super().__init__()
        self.model = model

    def construct(self, images: Tensor) -> tuple[Tensor, ...]:
        features, sizes = self.model.features(images)
        return features[0], features[1], features[2], features[3], self.model.decode_head(features, sizes, None)


class Gradients(nn.Cell):
    """The loss and its gradients. (A `value_and_grad` called outside a cell keeps the weights it was first run with.)"""

    def __init__(self, training: nn.Cell):
        super().__init__()
        self.loss_and_gradients = training.loss_and_gradients
        self.map = ops.HyperMap()

    def construct(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> tuple[Tensor, ...]:
        (total, weight), gradients = self.loss_and_gradients(images, labels, paths, channels, ops.ones((), images.dtype))
        weight = ops.maximum(weight, SMALLEST_WEIGHT)
        return total / weight, self.map(ops.partial(divided, weight), gradients)


divided = ops.MultitypeFuncGraph("divided")


@divided.register("Tensor", "Tensor")
def _(weight, gradient):
    return gradient / weight


class Given(nn.Cell):
    """A network whose logits are its images."""

    def construct(self, images: Tensor, paths: Tensor, channels: Tensor) -> Tensor:
        return images


class LossOfLogits(nn.Cell):
    """loss / weight of a backend's `Loss` over `Given`, and its gradient by the logits."""

    def __init__(self, loss: nn.Cell):
        super().__init__()
        self.loss_and_gradient = ms.value_and_grad(loss, 0, has_aux=True)

    def construct(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        one = ops.ones((), logits.dtype)
        (total, weight), gradient = self.loss_and_gradient(logits, labels, one, one, one)
        weight = ops.maximum(weight, SMALLEST_WEIGHT)
        return total / weight, gradient / weight


class Weighed(nn.Cell):
    """Σ weights · layer(x), and its gradients by x and by the layer's own arrays."""

    def __init__(self, layer: nn.Cell):
        super().__init__()
        self.layer = layer
        self.value_and_gradients = ms.value_and_grad(self._sum, 0, ms.ParameterTuple(layer.trainable_params()))

    def _sum(self, x: Tensor, weights: Tensor) -> Tensor:
        return ops.sum(self.layer(x) * weights)

    def construct(self, x: Tensor, weights: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self.value_and_gradients(x, weights)[1]


class WeighedMap(nn.Cell):
    """The gradient by x of Σ weights · upsample(x, the weights' size)."""

    def __init__(self, upsample: nn.Cell):
        super().__init__()
        self.upsample = upsample
        self.value_and_gradient = ms.value_and_grad(self._sum, 0)

    def _sum(self, x: Tensor, weights: Tensor) -> Tensor:
        return ops.sum(self.upsample(x, weights.shape[2:]) * weights)

    def construct(self, x: Tensor, weights: Tensor) -> Tensor:
        return self.value_and_gradient(x, weights)[1]


class AfterTheNetwork(nn.Cell):
    """The operators that `backend_mindspore.prediction` calls one by one, as a graph."""

    def construct(self, scores: Tensor) -> Tensor:
        H, W = scores.shape[2:]
        placed = filled(resize(scores, (2 * H, 2 * W)), (*scores.shape[:2], 2 * H + 8, 2 * W + 8))
        mean = ops.div(ops.add(placed, flip(placed)), ops.ones((2 * H + 8, 2 * W + 8), scores.dtype))
        return most_likely(softmax(joined([cut(mean, 2, 0, H // 2), cut(mean, 2, H // 2, H)], 2)))
