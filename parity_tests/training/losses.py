"""The losses of both backends on numpy arrays, and what they are made of in float64."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from segformer_core.config.keys import LossConfig


def probabilities(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(B, K, H, W) and (B, H, W) -> (B, H, W) float64: the softmax of the true class; of class 0 where the label is 255."""
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(1, keepdims=True)
    return np.take_along_axis(p, np.where(labels == 255, 0, labels)[:, None], 1)[:, 0]


def cross_entropy(
    backend: str, config: LossConfig, weights: tuple[float, ...] | None = None
) -> Callable[[np.ndarray, np.ndarray], tuple[float, float]]:
    """A backend's `CrossEntropy`: logits and labels -> its loss and its weight."""
    loss, tensor = _module(backend)
    module = loss.CrossEntropy(config, weights)

    def loss_and_weight(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        total, weight = module(tensor(logits), tensor(labels))
        return float(total), float(weight)

    return loss_and_weight


def hard_pixels(backend: str, config: LossConfig) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A backend's `HardPixels`: probabilities and labels -> labels."""
    loss, tensor = _module(backend)
    module = loss.HardPixels(config)
    return lambda p, labels: np.asarray(module(tensor(p), tensor(labels)))


def label_probabilities(backend: str, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    loss, tensor = _module(backend)
    return np.asarray(loss.label_probabilities(tensor(logits), tensor(labels)))


def _module(backend: str) -> tuple[Any, Any]:
    """A backend's file loss.py, and its tensor of an array."""
    module = import_module(f"backend_{backend}.loss")
    return module, import_module("torch").from_numpy if backend == "torch" else import_module("mindspore").Tensor
