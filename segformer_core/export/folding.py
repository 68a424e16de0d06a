"""Fold the decode head: products of weights that do not depend on the image are computed before a file is written."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segformer_core.spec.model import SegFormer


@dataclass(frozen=True)
class FoldedHead:
    """logits = P relu(Σ_i up(W_i c_i) + b) + p, where c_i are the features of the four levels.

    mixes: W_1..W_4, each (E, C_i); bias: b (E,); classifier: P (K, E); classifier_bias: p (K,). All float32.
    """

    mixes: tuple[np.ndarray, ...]
    bias: np.ndarray
    classifier: np.ndarray
    classifier_bias: np.ndarray


def fold_head(spec: SegFormer, arrays: Mapping[str, np.ndarray]) -> FoldedHead:
    """W_i = S F_i L_i and b = S (Σ F_i b_i - mean) + beta, with BatchNorm's factor S = diag(gamma / √(variance + eps)).

    F = [F_4 F_3 F_2 F_1] is the fusion's weight, L_i and b_i are the levels' projections. Computed in float64.
    """
    head = {name: array.astype(np.float64) for name, array in arrays.items() if name.startswith("decode_head.")}
    bn = {name: head[f"decode_head.linear_fuse.bn.{name}"] for name in ("weight", "bias", "running_mean", "running_var")}
    scale = bn["weight"] / np.sqrt(bn["running_var"] + spec.decode_head.linear_fuse.bn.eps)
    fusion = head["decode_head.linear_fuse.conv.weight"][:, :, 0, 0] * scale[:, None]
    levels = len(spec.decode_head.linear_c)
    mixes = np.split(fusion, levels, axis=1)[::-1]
    weights = [mix @ head[f"decode_head.linear_c.{level}.weight"] for level, mix in enumerate(mixes)]
    biases = [mix @ head[f"decode_head.linear_c.{level}.bias"] for level, mix in enumerate(mixes)]
    bias = np.sum(biases, axis=0) - bn["running_mean"] * scale + bn["bias"]
    return FoldedHead(
        tuple(weight.astype(np.float32) for weight in weights),
        bias.astype(np.float32),
        head["decode_head.linear_pred.weight"][:, :, 0, 0].astype(np.float32),
        head["decode_head.linear_pred.bias"].astype(np.float32),
    )
