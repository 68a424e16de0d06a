"""The losses of both backends on numpy arrays, and what they are made of in float64."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from segformer_core.config.keys import LossConfig
from segformer_core.protocol.learner import Batch
from segformer_core.protocol.masks import KeepMasks


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


def rule(p: np.ndarray, counted: np.ndarray, threshold: float, min_kept: int) -> np.ndarray:
    """mmsegmentation's hard pixels: sort the counted ones, and look at number `min_kept` times the images. (B, H, W) each."""
    ordered = np.sort(p[counted])
    least = ordered[min(min_kept * len(p), len(ordered) - 1)] if len(ordered) else 0.0
    return counted & (p < max(least, np.float32(threshold)))


def rule_of_each(p: np.ndarray, counted: np.ndarray, config: LossConfig, shares: int = 1) -> np.ndarray:
    """(B, H, W): the hard pixels if each of so many shares of the batch ranked its own."""
    pairs = zip(np.split(p, shares), np.split(counted, shares), strict=True)
    return np.concatenate([rule(*pair, config.ohem_threshold, config.ohem_min_kept) for pair in pairs])


def ranked_probabilities(learner: Any, batch: Batch, masks: KeepMasks) -> np.ndarray:
    """(B, H, W) float32: those by which a step would rank the pixels of the batch, in its parts."""
    step = learner.training_step
    parts = [learner._part(batch, masks, part) for part in range(step.accumulation_steps)]
    if learner.__class__.__module__.startswith("backend_torch"):
        import torch

        learner.model.train()
        with torch.no_grad():
            return np.concatenate([step.loss.probabilities(*part).cpu().numpy() for part in parts])
    learner.model.set_train(True)
    return np.concatenate([step.probabilities(*part).asnumpy() for part in parts])


def _module(backend: str) -> tuple[Any, Any]:
    """A backend's file loss.py, and its tensor of an array."""
    module = import_module(f"backend_{backend}.loss")
    return module, import_module("torch").from_numpy if backend == "torch" else import_module("mindspore").Tensor
