"""How far an exported file's answer is from the network's, and what is allowed."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from segformer_core.data.transforms import normalise, resize_image
from segformer_core.errors import UserError
from segformer_core.evaluation.metrics import near_ties
from segformer_core.protocol.form import Form

IMAGES_COMPARED = 3


@dataclass(frozen=True)
class Tolerance:
    """`difference`: of the logits at most, on the network's scale; None: any. `agreement`: the least share of equal labels."""

    difference: float | None
    agreement: float


TOLERANCES = {
    ("fp32", True): Tolerance(1e-5, 1.0),
    ("fp32", False): Tolerance(1e-3, 0.999),
    ("fp16", True): Tolerance(None, 0.995),
    ("fp16", False): Tolerance(None, 0.995),
}
"""By precision and whether the device is a CPU; an accelerator's is a first guess, nobody has measured it yet."""


class Unproven(UserError):
    """The file does not compute what the network computes, or does not run at all."""


@dataclass(frozen=True)
class Comparison:
    """`scale` is the largest absolute logit, at least 1; the largest difference is None where the file gives labels alone.

    `pixels` are those of all images, `near_ties` those whose label is open, `unequal` those of the others with another label.
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
        found, allowed = self.largest_difference, tolerance.difference
        sound = found is None or bool(np.isfinite(found))
        near = found is None or allowed is None or found <= allowed * self.scale
        return sound and near and self.agreement >= tolerance.agreement

    def __str__(self) -> str:
        found = self.largest_difference
        logits = "" if found is None else f"logits differ by at most {found:.2g} (the largest is {self.scale:.3g}), "
        return f"{logits}{self.agreement:.4%} of the labels agree, {self.near_ties} near ties apart, on {self.images} images"


def image_batches(images: Sequence[np.ndarray], form: Form) -> list[np.ndarray]:
    """(H, W, 3) uint8 RGB images -> (N, H, W, 3) batches as the file is to be tried with: of its own size or, if it is dynamic,
    also two together, of the smallest size, and a size that 32 does not divide.
    """
    height, width = form.size
    wanted = [(1, form.size)] * len(images)
    if form.dynamic:
        odd = max(height * 3 // 4 // 32 * 32 + 13, form.smallest), max(width * 3 // 4 // 32 * 32 + 21, form.smallest)
        wanted = [(1, form.size), (2, (form.smallest, form.smallest)), (1, odd)]
    turns = itertools.cycle(images)
    return [np.stack([resize_image(next(turns), size) for _ in range(count)]) for count, size in wanted]


def made_images(count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """(*size, 3) uint8 RGB images of soft patches of colour under noise, for want of a dataset."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(count):
        patches = cv2.resize(rng.uniform(0, 255, (6, 9, 3)), size[::-1], interpolation=cv2.INTER_CUBIC)
        images.append(np.clip(patches + rng.normal(0, 12, patches.shape), 0, 255).astype(np.uint8))
    return images


def normalised(batch: np.ndarray, form: Form) -> np.ndarray:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float32."""
    return np.stack([normalise(image, form.mean, form.std).transpose(2, 0, 1) for image in batch])


def compare(got: Sequence[np.ndarray], logits: Sequence[np.ndarray], batches: Sequence[np.ndarray], form: Form) -> Comparison:
    """What the file gave for each batch against the network's (N, K, h, w) logits. Raises Unproven for a wrong shape."""
    scale = max(1.0, *(float(np.abs(want).max()) for want in logits))
    largest, pixels, ties, unequal = 0.0, 0, 0, 0
    for found, want, batch in zip(got, logits, batches, strict=True):
        if form.labels:
            want = np.stack([_upsampled(scores, batch.shape[1:3]) for scores in want])
        expected = (want.shape[0], *want.shape[2:]) if form.labels else want.shape
        if found.shape != expected:
            raise Unproven(f"it gives {form.output_name} of shape {found.shape}; expected {expected}")
        if not form.labels:
            largest = float(np.maximum(largest, np.abs(found - want).max()))  # max() would pass over NaN
        tie = near_ties(want, scale)
        labels = found if form.labels else found.argmax(1)
        pixels, ties = pixels + tie.size, ties + int(tie.sum())
        unequal += int(((labels != want.argmax(1)) & ~tie).sum())
    return Comparison(sum(map(len, batches)), pixels, scale, None if form.labels else largest, ties, unequal)


def _upsampled(logits: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """(K, h, w) -> (K, *size), bilinear."""
    return np.stack([cv2.resize(scores, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) for scores in logits])
