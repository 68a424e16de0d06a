"""Cells that the tests compile; MindSpore's graph parser needs them in a file of their own."""

from mindspore import Tensor, nn


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

    def construct(self, images: Tensor, labels: Tensor, paths: Tensor, channels: Tensor) -> tuple[Tensor, ...]:
        return self.loss_and_gradients(images, labels, paths, channels)
