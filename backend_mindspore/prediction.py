"""Carries out a plan: from a function that gives logits to scores and labels; `backend_torch/prediction.py` is its twin.

Only the network is a graph. What follows it are single operators, which compile nothing when an image has another size.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from backend_mindspore.bands import Part, Windows, cut
from backend_mindspore.native import direct
from segformer_core.data.dataset import IGNORED
from segformer_core.protocol.bands import (
    Arrays,
    Read,
    assembled,
    gathered,
    in_bands,
    in_strips,
    maps_of,
    reader,
    row_mix,
    strips,
)
from segformer_core.protocol.plan import SMALLEST_PROBABILITY, Plan

Finish = Callable[[Tensor], tuple[Tensor, ...]]
"""(B, K, h, w) scores -> (B, h, w) each: what is kept of them."""


def most_likely(scores: Tensor) -> Tensor:
    """(B, K, H, W) -> (B, H, W) uint8."""
    return ops.Argmax(axis=1, output_type=ms.int32)(scores).to(ms.uint8)


class Prediction:
    """`logits` is (B, 3, H, W) -> (B, K, h, w) float32: a network, or a file that was exported from one.

    `library` is that of our own kernels for a CPU, if there is one.
    """

    def __init__(self, logits: Callable[[Tensor], Tensor], library: str = ""):
        self.logits, self.library = logits, library

    def predict(self, images: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
        """(B, 3, H, W) float32 for each view, of its size -> (B, *size) uint8."""
        return assembled(self.bands(reader(images, plan), plan), plan.size)[0]

    def bands(self, read: Read, plan: Plan, confidences: bool = False) -> Iterator[tuple[int, Arrays]]:
        """The labels in bands of rows from the top, and with `confidences` their probabilities: first row, (B, rows, W) each."""
        if self.library and not (confidences or plan.averages or in_bands(plan)):
            [which] = maps_of(plan)
            yield 0, (direct.most_likely(self.library, self._map(read, plan, *which).asnumpy(), plan.size),)
            return

        def finish(scores: Tensor) -> tuple[Tensor, ...]:
            if not confidences:
                return (most_likely(scores),)
            best = ops.div(largest(scores), plan.maps) if plan.averages else largest(softmax(scores))
            return most_likely(scores), best

        yield from gathered(self._finished(read, plan, finish), plan)

    def _finished(self, read: Read, plan: Plan, finish: Finish) -> Iterator[tuple[int, int, Arrays]]:
        parts = self._bands(read, plan) if in_bands(plan) else self._strips(read, plan)
        for top, left, scores in parts:
            arrays = tuple(array.asnumpy() for array in finish(scores))
            del scores
            yield top, left, arrays

    def _bands(self, read: Read, plan: Plan) -> Iterator[Part]:
        """The scores where windows are of the labels' own pixels: no more of them is kept than the next windows need."""
        if not plan.averages:
            yield from self._windows(read, plan, 0, mirrored=False).parts()
            return
        maps = [self._windows(read, plan, 0, mirrored).bands() for mirrored in plan.mirrorings]
        for (top, scores), (_, others) in zip(*maps, strict=True):
            yield top, 0, ops.add(softmax(scores), softmax(flip(others)))
            del scores, others

    def _strips(self, read: Read, plan: Plan) -> Iterator[Part]:
        """The scores where they are resized: whole where they are small, else strip by strip."""
        if not in_strips(plan):
            yield 0, 0, self._scores(read, plan)
            return
        maps = [self._map(read, plan, *which) for which in maps_of(plan)]
        for top, bottom in strips(plan.size, maps[0].shape[1]):
            yield top, 0, self._sum((self._rows(scores, plan.size, top, bottom) for scores in maps), plan)

    def _rows(self, scores: Tensor, size: tuple[int, int], top: int, bottom: int) -> Tensor:
        """(B, K, h, w) -> rows `top` to before `bottom` of (B, K, *size)."""
        if (top, bottom) == (0, size[0]):
            return resize(scores, size)
        mix = row_mix(scores.shape[2], size[0], top, bottom)
        low, high, share = (Tensor(array) for array in (mix.low, mix.high, mix.share))
        scores = cut(scores, 2, mix.first, mix.last + 1)
        rows = ops.add(ops.mul(ops.Gather()(scores, low, 2), 1 - share), ops.mul(ops.Gather()(scores, high, 2), share))
        return resize(rows, (bottom - top, size[1]))

    def labels_and_confidences(self, images: Sequence[np.ndarray], plan: Plan) -> tuple[np.ndarray, np.ndarray]:
        """-> (B, *size) uint8, and (B, *size) float32: the largest probability."""
        labels, best = assembled(self.bands(reader(images, plan), plan, confidences=True), plan.size)
        return labels, best

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
        return self._scores(reader(images, plan), plan)

    def _scores(self, read: Read, plan: Plan) -> Tensor:
        return self._sum((resize(self._map(read, plan, *which), plan.size) for which in maps_of(plan)), plan)

    def _sum(self, maps: Iterable[Tensor], plan: Plan) -> Tensor:
        total = None
        for scores in maps:
            if plan.averages:
                scores = softmax(scores)
            total = scores if total is None else ops.add(total, scores)
        return total

    def _map(self, read: Read, plan: Plan, index: int, mirrored: bool) -> Tensor:
        """(B, K, h, w) logits of a view, with windows their mean (B, K, H, W)."""
        if not plan.views[index].windows:
            x = tensor(read(index, 0, 0))
            return flip(self.logits(flip(x))) if mirrored else self.logits(x)
        scores = self._windows(read, plan, index, mirrored).whole()
        return flip(scores) if mirrored else scores

    def _windows(self, read: Read, plan: Plan, index: int, mirrored: bool) -> Windows:
        """Those of a view, or of its mirror image."""
        view = plan.views[index]

        def logits(top: int, left: int) -> Tensor:
            x = tensor(read(index, top, view.size[1] - view.crop[1] - left if mirrored else left))
            return self.logits(flip(x) if mirrored else x)

        return Windows(view, logits, lambda scores: resize(scores, view.crop))


def negative_log_likelihood(scores: Tensor, truth: Tensor, are_probabilities: bool) -> Tensor:
    """(B, K, H, W) logits, or sums of probabilities, and (B, H, W) int32 -> (B, H, W): -log p of the true class; 0 where 255."""
    logits = ops.log(ops.maximum(scores, SMALLEST_PROBABILITY)) if are_probabilities else scores
    counted = truth != IGNORED
    true = ops.squeeze(ops.GatherD()(logits, 1, ops.unsqueeze(ops.where(counted, truth, 0), 1)), 1)
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


def tensor(array: np.ndarray) -> Tensor:
    return Tensor(np.ascontiguousarray(array))
