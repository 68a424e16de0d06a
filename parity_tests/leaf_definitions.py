"""Layers and kernels straight from their definitions, in numpy and float64."""

import math

import numpy as np


def layer_norm(x, arrays, eps):
    x = x.astype(np.float64)
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return scaled * arrays["weight"] + arrays["bias"]


def convolution(x, arrays, leaf):
    """Straight from the definition: a sum over the kernel's taps of shifted, strided images."""
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (leaf.padding,) * 2, (leaf.padding,) * 2))
    h, w = ((size - leaf.kernel) // leaf.stride + 1 for size in x.shape[2:])
    B, C = x.shape[:2]
    out = np.zeros((B, leaf.groups, leaf.out_channels // leaf.groups, h, w))
    x = x.reshape(B, leaf.groups, C // leaf.groups, *x.shape[2:])
    weight = arrays["weight"].reshape(leaf.groups, -1, C // leaf.groups, leaf.kernel, leaf.kernel)
    for i in range(leaf.kernel):
        for j in range(leaf.kernel):
            patch = x[..., i : i + h * leaf.stride : leaf.stride, j : j + w * leaf.stride : leaf.stride][..., :h, :w]
            out += np.einsum("bgchw,goc->bgohw", patch, weight[..., i, j])
    return out.reshape(B, leaf.out_channels, h, w) + arrays["bias"][:, None, None]


def convolution_gradients(x, weights, arrays, leaf) -> dict[str, np.ndarray]:
    """Those of Σ weights · convolution(x), from the definition."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (leaf.padding,) * 2, (leaf.padding,) * 2))
    h, w = weights.shape[2:]
    B, C = x.shape[:2]
    groups, s = leaf.groups, leaf.stride
    padded = padded.reshape(B, groups, C // groups, *padded.shape[2:])
    kernel = arrays["weight"].astype(np.float64).reshape(groups, -1, *arrays["weight"].shape[1:])
    out = weights.astype(np.float64).reshape(B, groups, -1, h, w)
    dx, dkernel = np.zeros_like(padded), np.zeros_like(kernel)
    for i in range(leaf.kernel):
        for j in range(leaf.kernel):
            seen = (..., slice(i, i + h * s, s), slice(j, j + w * s, s))
            dx[seen][..., :h, :w] += np.einsum("bgohw,goc->bgchw", out, kernel[..., i, j])
            dkernel[..., i, j] = np.einsum("bgohw,bgchw->goc", out, padded[seen][..., :h, :w])
    p = leaf.padding
    dx = dx.reshape(B, C, *padded.shape[3:])[..., p : p + x.shape[2], p : p + x.shape[3]]
    return {"x": dx, "weight": dkernel.reshape(arrays["weight"].shape), "bias": weights.astype(np.float64).sum((0, 2, 3))}


def attention(q, k, v):
    scores = q.astype(np.float64) @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1])
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v


def interpolation(inputs: int, outputs: int) -> np.ndarray:
    """(outputs, inputs) float64: one axis of bilinear interpolation with half-pixel centres."""
    rows = np.zeros((outputs, inputs))
    for o in range(outputs):
        centre = max((o + 0.5) * inputs / outputs - 0.5, 0)
        low = min(int(centre), inputs - 1)
        rows[o, low] += 1 - (centre - low)
        rows[o, min(low + 1, inputs - 1)] += centre - low
    return rows
