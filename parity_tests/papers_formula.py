"""Scores of whole images, windows, scales and mirror images as the paper's code computes them, in numpy."""

import numpy as np


def small_network(x: np.ndarray) -> np.ndarray:
    """(B, 3, H, W) -> (B, 6, H/4, W/4): a quarter of the pixels, and their products with the mean size of all that it sees."""
    quarter = x[:, :, ::4, ::4]
    return np.concatenate((quarter, quarter * abs(x).mean((1, 2, 3), keepdims=True)), 1)


def by_the_papers_formula(network, images, size: tuple[int, int], keys: dict) -> np.ndarray:
    """(B, 3, H, W) for each scale -> (B, K, *size) float64: scores, or mean probabilities if there are several maps."""
    maps = []
    for image in images:
        for mirror in (False, True) if keys.get("eval_flip") else (False,):
            x = image[..., ::-1] if mirror else image
            if keys.get("eval_mode") == "slide":
                found = by_windows(network, x, keys["eval_crop_size"], keys["eval_stride"])
            else:
                found = network(np.ascontiguousarray(x))
            maps.append(bilinear(found[..., ::-1] if mirror else found, size))
    if len(maps) == 1:
        return maps[0]
    powers = [np.exp(scores - scores.max(1, keepdims=True)) for scores in maps]
    return np.mean([power / power.sum(1, keepdims=True) for power in powers], 0)


def by_windows(network, x: np.ndarray, crop: tuple[int, int], stride: tuple[int, int]) -> np.ndarray:
    """(B, 3, H, W) -> (B, K, H, W): each window ends within the image, and begins a window before its end or at the edge."""
    height, width = x.shape[2:]
    total, count = np.zeros(()), np.zeros((height, width))
    for row in range(max(height - crop[0] + stride[0] - 1, 0) // stride[0] + 1):
        for column in range(max(width - crop[1] + stride[1] - 1, 0) // stride[1] + 1):
            bottom, right = min(row * stride[0] + crop[0], height), min(column * stride[1] + crop[1], width)
            top, left = max(bottom - crop[0], 0), max(right - crop[1], 0)
            scores = bilinear(network(np.ascontiguousarray(x[..., top:bottom, left:right])), (bottom - top, right - left))
            total = total + np.pad(scores, ((0, 0), (0, 0), (top, height - bottom), (left, width - right)))
            count[top:bottom, left:right] += 1
    return total / count


def bilinear(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(…, h, w) -> (…, *size) float64, half-pixel centres."""
    for axis, outputs in ((-2, size[0]), (-1, size[1])):
        inputs = x.shape[axis]
        centres = np.clip((np.arange(outputs) + 0.5) * inputs / outputs - 0.5, 0, inputs - 1)
        low = np.floor(centres).astype(int)
        high = np.minimum(low + 1, inputs - 1)
        share = (centres - low).reshape((-1, 1) if axis == -2 else (-1,))
        x = np.take(x, low, axis).astype(np.float64) * (1 - share) + np.take(x, high, axis) * share
    return x
