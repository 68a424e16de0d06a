"""How far an exported file's outputs are from the network's, and how far they may be."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from segformer_core.data.image_form import RGB_CHANNELS
from segformer_core.data.transforms import normalise, resize_image, with_axis
from segformer_core.errors import UserError
from segformer_core.evaluation.metrics import near_ties
from segformer_core.protocol.form import INT8, Form

IMAGES_COMPARED = 3


@dataclass(frozen=True)
class Tolerance:
    """`difference`: the largest allowed difference of logits, as a multiple of `Comparison.scale`; None allows any.

    `agreement`: the smallest allowed share of equal labels, 0..1.
    """

    difference: float | None
    agreement: float


TOLERANCES = {
    ("fp32", True): Tolerance(1e-5, 1.0),
    ("fp32", False): Tolerance(1e-3, 0.999),
    ("fp16", True): Tolerance(None, 0.995),
    ("fp16", False): Tolerance(None, 0.995),
    (INT8, True): Tolerance(None, 0.0),
    (INT8, False): Tolerance(None, 0.0),
}
"""By precision and whether the device is a CPU. Those of an accelerator are a first guess; nobody has measured them yet.

Of int8 `export/int8.py` judges the labels, by the truth.
"""


class Unproven(UserError):
    """The file does not compute what the network computes, or does not run."""


@dataclass(frozen=True)
class Comparison:
    """`scale` is the largest absolute logit, at least 1; the largest difference is None where the file gives labels alone.

    `pixels` is the number of all pixels, `near_ties` that of pixels whose two best scores nearly tie, and `unequal` that of the
    other pixels whose label differs from the network's, or comes of logits that are not finite.
    """

    images: int
    pixels: int
    scale: float
    largest_difference: float | None
    near_ties: int
    unequal: int

    @property
    def agreement(self) -> float:
        return 1.0 - self.unequal / max(self.pixels - self.near_ties, 1)

    def within(self, tolerance: Tolerance) -> bool:
        largest, allowed = self.largest_difference, tolerance.difference
        finite = largest is None or bool(np.isfinite(largest))
        near = largest is None or allowed is None or largest <= allowed * self.scale
        return finite and near and self.agreement >= tolerance.agreement

    def __str__(self) -> str:
        largest = self.largest_difference
        logits = "" if largest is None else f"logits differ by at most {largest:.2g} (the largest is {self.scale:.3g}), "
        return f"{logits}{self.agreement:.4%} of the labels agree on {self.images} images, without {self.near_ties} near ties"


def image_batches(images: Sequence[np.ndarray], form: Form) -> list[np.ndarray]:
    """(H, W, C) images -> the (N, H, W, C) batches that the file is run on.

    All are of the file's own size. A dynamic file also gets a batch of two images of the smallest size, and an image of a size
    that is no multiple of 32.
    """
    height, width = form.size
    shapes = [(1, form.size)] * len(images)
    if form.dynamic:
        odd = max(height * 3 // 4 // 32 * 32 + 13, form.smallest), max(width * 3 // 4 // 32 * 32 + 21, form.smallest)
        shapes = [(1, form.size), (2, (form.smallest, form.smallest)), (1, odd)]
    turns = itertools.cycle(images)
    return [np.stack([resize_image(next(turns), size) for _ in range(count)]) for count, size in shapes]


def made_images(count: int, size: tuple[int, int], channels: int = RGB_CHANNELS) -> list[np.ndarray]:
    """(*size, channels) uint8 images of soft patches of colour with noise, for use without a dataset."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(count):
        colours = rng.uniform(0, 255, (6, 9, channels))
        patches = with_axis(cv2.resize(colours, size[::-1], interpolation=cv2.INTER_CUBIC), colours)
        images.append(np.clip(patches + rng.normal(0, 12, patches.shape), 0, 255).astype(np.uint8))
    return images


def normalised(batch: np.ndarray, form: Form) -> np.ndarray:
    """(N, H, W, C) -> (N, C, H, W) float32."""
    return np.stack([normalise(image, form.mean, form.std).transpose(2, 0, 1) for image in batch])


def compare(outputs: Sequence[np.ndarray], logits: Sequence[np.ndarray], batches: Sequence[np.ndarray], form: Form) -> Comparison:
    """The file's output for each batch against the network's (N, K, h, w) logits. Raises Unproven for a wrong shape."""
    scale = max(1.0, *(float(np.abs(scores).max()) for scores in logits))
    largest, pixels, ties, unequal = 0.0, 0, 0, 0
    for output, scores, batch in zip(outputs, logits, batches, strict=True):
        if form.labels:
            scores = np.stack([_upsampled(image_scores, batch.shape[1:3]) for image_scores in scores])
        expected = (scores.shape[0], *scores.shape[2:]) if form.labels else scores.shape
        if output.shape != expected:
            raise Unproven(f"it gives {form.output_name} of shape {output.shape}; expected {expected}")
        if not form.labels:
            largest = float(np.maximum(largest, np.abs(output - scores).max()))  # max() would ignore NaN
        tie = near_ties(scores, scale)
        labels = output if form.labels else output.argmax(1)
        pixels, ties = pixels + tie.size, ties + int(tie.sum())
        wrong = labels != scores.argmax(1)
        if not form.labels:
            wrong |= ~np.isfinite(output).all(1)  # the arg-max of NaN may be right by chance
        unequal += int((wrong & ~tie).sum())
    return Comparison(sum(map(len, batches)), pixels, scale, None if form.labels else largest, ties, unequal)


def _upsampled(logits: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """(K, h, w) -> (K, *size), bilinear."""
    return np.stack([cv2.resize(scores, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) for scores in logits])
