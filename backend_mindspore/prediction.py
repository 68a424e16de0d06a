"""Carries out a plan: from a function that gives logits to scores and labels; `backend_torch/prediction.py` is its twin.

Only the network is a graph. What follows it are single operators, which compile nothing when an image has another size.
"""

from collections.abc import Callable, Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from segformer_core.data.dataset import IGNORED
from segformer_core.protocol.plan import SMALLEST_PROBABILITY, Plan, View


class Prediction:
    """`logits` is (B, 3, H, W) -> (B, K, h, w) float32: a network, or a file that was exported from one."""

    def __init__(self, logits: Callable[[Tensor], Tensor]):
        self.logits = logits

    def predict(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """(B, 3, H, W) float32 for each view, of its size -> (B, *size) uint8."""
        return most_likely(self.scores(images, plan)).asnumpy()

    def labels_and_confidences(self, images: Sequence[np.ndarray], plan: Plan) -> tuple[np.ndarray, np.ndarray]:
        """-> (B, *size) uint8, and (B, *size) float32: the largest probability."""
        scores = self.scores(images, plan)
        best = ops.div(largest(scores), plan.maps) if plan.averages else largest(softmax(scores))
        return most_likely(scores).asnumpy(), best.asnumpy()

    def probabilities(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """-> (B, K, *size) float32: the softmax of the scores; where the plan averages, the mean of all probabilities."""
        scores = self.scores(images, plan)
        return (ops.div(scores, plan.maps) if plan.averages else softmax(scores)).asnumpy()

    def labels_and_losses(self, images: Sequence[np.ndarray], plan: Plan, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """-> (B, *size) uint8, and (B,) float64: each image's sum of -log p of the true class; 255 does not count."""
        scores = self.scores(images, plan)
        losses = negative_log_likelihood(scores, Tensor(truth), plan.averages)
        return most_likely(scores).asnumpy(), ops.ReduceSum()(losses, 2).asnumpy().sum(1, dtype=np.float64)

    def scores(self, images: Sequence[np.ndarray], plan: Plan) -> Tensor:
        """(B, 3, H, W) for each view -> (B, K, *size): logits, or where the plan averages the sum of all probabilities."""
        total = None
        for image, view in zip(images, plan.views, strict=True):
            x = Tensor(image)
            for mirrored in plan.mirrorings:
                scores = flip(self._view(flip(x), view)) if mirrored else self._view(x, view)
                scores = resize(scores, plan.size)
                if plan.averages:
                    scores = softmax(scores)
                total = scores if total is None else ops.add(total, scores)
        return total

    def _view(self, x: Tensor, view: View) -> Tensor:
        """(B, 3, H, W) -> (B, K, h, w) logits, with windows their mean (B, K, H, W)."""
        if not view.windows:
            return self.logits(x)
        total = None
        for top, left in view.windows:
            logits = resize(self.logits(ops.slice(x, (0, 0, top, left), (*x.shape[:2], *view.crop))), view.crop)
            placed = place(logits, top, left, view.size)
            total = placed if total is None else ops.add(total, placed)
        return ops.div(total, Tensor(view.counts))


def most_likely(scores: Tensor) -> Tensor:
    """(B, K, H, W) -> (B, H, W) uint8."""
    return ops.Argmax(axis=1, output_type=ms.int32)(scores).to(ms.uint8)


def negative_log_likelihood(scores: Tensor, truth: Tensor, are_probabilities: bool) -> Tensor:
    """(B, K, H, W) logits, or sums of probabilities, and (B, H, W) int32 -> (B, H, W): -log p of the true class; 0 where 255."""
    logits = ops.log(ops.maximum(scores, SMALLEST_PROBABILITY)) if are_probabilities else scores
    counted = truth != IGNORED
    true = ops.squeeze(ops.GatherD()(logits, 1, ops.expand_dims(ops.where(counted, truth, 0), 1)), 1)
    return ops.where(counted, ops.logsumexp(logits, 1) - true, 0.0)


def largest(x: Tensor) -> Tensor:
    """(B, K, H, W) -> (B, H, W)."""
    return ops.ReduceMax()(x, 1)


def softmax(logits: Tensor) -> Tensor:
    return ops.Softmax(axis=1)(logits)


def flip(x: Tensor) -> Tensor:
    return ops.ReverseV2(axis=(3,))(x)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size): `kernels.Upsample` where no gradient is asked for; this operator is then the faster."""
    return x if x.shape[2:] == size else ops.interpolate(x, size=size, mode="bilinear", align_corners=False)


def place(x: Tensor, top: int, left: int, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size): `x` at its place, zeros around it. Concatenation is the fastest way on a CPU."""
    h, w = x.shape[2:]
    return pad(pad(x, 3, left, size[1] - left - w), 2, top, size[0] - top - h)


def pad(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """`x` with zeros added before and after it on one axis."""
    shape = x.shape
    if before:
        x = ops.concat((ops.zeros((*shape[:axis], before, *shape[axis + 1 :]), x.dtype), x), axis)
    if after:
        x = ops.concat((x, ops.zeros((*shape[:axis], after, *shape[axis + 1 :]), x.dtype)), axis)
    return x
