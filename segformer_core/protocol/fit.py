"""The rule by which an image of any size is shown to a network: `infer` follows it, and the sidecar tells it to clients.

1. `Fit.size` says at which size the image is seen; it is resized to that bilinearly.
2. A file of one size, the frame, gets the image in the frame's upper left corner: `padded`.
3. Of what the file gives, only the image's part counts: `cut`.
4. That part is resized to the image's own size: logits bilinearly and before the arg-max, labels by nearest neighbour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segformer_core.data.transforms import fitted_size
from segformer_core.spec.model import LOGIT_STRIDE, SMALLEST_INPUT

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Takes:
    """Which images a network takes: of sides of at least `least` pixels; with a `frame` of this size alone."""

    least: int = SMALLEST_INPUT
    frame: Size | None = None


ANYTHING = Takes()
"""What a network takes that is no file."""


@dataclass(frozen=True)
class Fit:
    """An image's long side fits the long side of `base_size`, its short side the short one, and both fit the frame.

    Then no side is less than `least`, each is rounded up to a multiple of `multiple`, and none is more than the frame's.
    """

    base_size: Size
    multiple: int = 1
    least: int = SMALLEST_INPUT
    frame: Size | None = None

    def size(self, image: Size) -> Size:
        """Height and width at which an image of this height and width is seen."""
        sides = (max(side, self.least) for side in fitted_size(image, self.base_size, self.frame))
        height, width = (next_multiple(side, self.multiple) for side in sides)
        return (min(height, self.frame[0]), min(width, self.frame[1])) if self.frame else (height, width)


def next_multiple(side: int, divisor: int) -> int:
    """The smallest multiple of `divisor` that is no less than `side`, in pixels."""
    return -(-side // divisor) * divisor


def padded(images: np.ndarray, frame: Size, values: Sequence[float]) -> np.ndarray:
    """(B, C, H, W) -> (B, C, *frame) of the same type: `values`, one for each channel, at the bottom and on the right."""
    height, width = images.shape[2:]
    if (height, width) == frame:
        return images
    whole = np.empty((*images.shape[:2], *frame), images.dtype)
    whole[:] = np.asarray(values, images.dtype)[:, None, None]
    whole[:, :, :height, :width] = images
    return whole


def cut(outputs: np.ndarray, image: Size, labels: bool) -> np.ndarray:
    """(B, K, h, w) logits or (B, h, w) labels of a frame -> those of the image in it, which is seen at this size."""
    height, width = image if labels else (-(-side // LOGIT_STRIDE) for side in image)
    return outputs[..., :height, :width]
