"""Cells that the tests compile; MindSpore's graph parser needs them in a file of their own."""

from mindspore import Tensor, nn, ops

from segformer_core.training.schedule import SMALLEST_WEIGHT


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
