"""The paper's decode head as the paper draws it, in numpy and float64: the oracle of the folded one."""

import numpy as np

from parity_tests.support import output_size
from segformer_core.spec.model import SegFormer


def unfolded_logits(
    spec: SegFormer, arrays: dict[str, np.ndarray], features: list[np.ndarray], image_size: tuple[int, int]
) -> np.ndarray:
    """Tokens of c1..c4, each (B, H_i·W_i, C_i) -> (B, K, H/4, W/4): project, upsample, concatenate 4E channels, mix."""
    arrays = {name: value.astype(np.float64) for name, value in arrays.items()}
    sizes, size = [], image_size
    for stage in spec.stages:
        size = (output_size(stage.patch_embed.proj, size[0]), output_size(stage.patch_embed.proj, size[1]))
        sizes.append(size)
    levels = []
    for level, (tokens, size) in enumerate(zip(features, sizes, strict=True)):
        x = tokens.astype(np.float64) @ arrays[f"decode_head.linear_c.{level}.weight"].T
        x = (x + arrays[f"decode_head.linear_c.{level}.bias"]).transpose(0, 2, 1).reshape(len(tokens), -1, *size)
        levels.append(_upsample(x, sizes[0]))
    x = _mix(np.concatenate(levels[::-1], axis=1), arrays["decode_head.linear_fuse.conv.weight"])
    bn: dict[str, np.ndarray] = {
        name: arrays[f"decode_head.linear_fuse.bn.{name}"][:, None, None]
        for name in ("weight", "bias", "running_mean", "running_var")
    }
    eps = spec.decode_head.linear_fuse.bn.eps
    x = (x - bn["running_mean"]) / np.sqrt(bn["running_var"] + eps) * bn["weight"] + bn["bias"]
    x = _mix(np.maximum(x, 0), arrays["decode_head.linear_pred.weight"])
    return x + arrays["decode_head.linear_pred.bias"][:, None, None]


def _mix(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.einsum("bchw,oc->bohw", x, weight[:, :, 0, 0], optimize=True)


def _upsample(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear, half-pixel centres, one axis after the other by gathering neighbours."""
    for axis, outputs in zip((2, 3), size, strict=True):
        inputs = x.shape[axis]
        centre = np.maximum((np.arange(outputs) + 0.5) * inputs / outputs - 0.5, 0)
        low = np.minimum(centre.astype(int), inputs - 1)
        share = np.expand_dims(centre - low, 1) if axis == 2 else centre - low
        x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, inputs - 1), axis) * share
    return x
