"""How weights for three channels start a network whose images have another number of channels."""

import numpy as np

from segformer_core.config.keys import RGB_CHANNELS
from segformer_core.weights.dialect import Arrays

STEM = "stages.0.patch_embed.proj.weight"
"""The one array whose shape depends on the number of channels: (width, C, 7, 7)."""

MEAN, FIRST = "mean", "first"
"""The values of the key stem_init."""


def starts(stored: int, channels: int) -> bool:
    """Whether weights for `stored` channels can start a network of so many others."""
    return stored == RGB_CHANNELS != channels


def with_stem(arrays: Arrays, channels: int, rule: str) -> Arrays:
    """The arrays of a network for RGB, its stem's weights (width, 3, 7, 7) made into (width, channels, 7, 7) ones.

    `mean`: each channel gets the sum over R, G and B divided by the number of channels. So an image all of whose channels are
    equal gives what three equal channels gave, and the activations keep their size; one channel gets the sum. `first`: the first
    three channels keep R, G and B, and further ones start at zero, so that the network sees at first what it saw; of one or two
    channels these are R, or R and G.
    """
    weight = arrays[STEM]
    if rule == MEAN:
        each = weight.sum(axis=1, keepdims=True, dtype=np.float64) / channels
        made = np.repeat(each, channels, axis=1)
    else:
        made = np.zeros((weight.shape[0], channels, *weight.shape[2:]))
        kept = min(channels, RGB_CHANNELS)
        made[:, :kept] = weight[:, :kept]
    return arrays | {STEM: np.ascontiguousarray(made, dtype=np.float32)}


def described(channels: int, rule: str) -> str:
    """What `with_stem` did, for the log."""
    kept = min(channels, RGB_CHANNELS)
    zero = f" and the other {channels - kept} start at zero" if channels > kept else ""
    what = {
        MEAN: f"each of the {channels} starts with the sum over R, G and B divided by {channels}",
        FIRST: f"the first {kept} start with the weights of {'RGB'[:kept]}{zero}",
    }[rule]
    if channels == 1 and rule == MEAN:
        what = "the one starts with the sum over R, G and B"
    return f"they see {RGB_CHANNELS} channels and in_channels is {channels}: {what} (stem_init {rule})"
