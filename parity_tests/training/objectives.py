"""Objectives by their definitions in numpy and float64, and those of both backends over given logits, each with its gradient."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from parity_tests.support import CONFIG, MODES, runtime_of
from segformer_core.config.keys import LossConfig
from segformer_core.protocol.groups import SMALLEST_WEIGHT

LossAndGradient = tuple[float, np.ndarray]
IGNORED = 255
FRAMEWORKS = ("torch", *(f"mindspore, {mode}" for mode in MODES))


def by_definition(
    logits: np.ndarray, labels: np.ndarray, terms: dict[str, float], gamma: float = 2.0, weights: tuple[float, ...] | None = None
) -> LossAndGradient:
    """(B, K, H, W) and (B, H, W) -> the weighted sum of the `terms`, and its gradient by the logits, float64.

    Every pixel that is not ignored is a row of scores, as the papers have it.
    """
    counted = labels != IGNORED
    rows, truth = logits.astype(np.float64).transpose(0, 2, 3, 1)[counted], labels[counted]
    gradient = np.zeros(logits.transpose(0, 2, 3, 1).shape)
    if not len(rows):
        return 0.0, np.zeros(logits.shape)
    p = np.exp(rows - rows.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    total, by_p = 0.0, np.zeros_like(p)
    for name, weight in terms.items():
        loss, slope = DEFINITIONS[name](p, truth, gamma, np.ones(p.shape[1]) if weights is None else np.array(weights))
        total, by_p = total + weight * loss, by_p + weight * slope
    gradient[counted] = p * (by_p - (p * by_p).sum(1, keepdims=True))  # through the softmax
    return total, gradient.transpose(0, 3, 1, 2)


def cross_entropy(p: np.ndarray, truth: np.ndarray, gamma: float, weights: np.ndarray) -> LossAndGradient:
    return focal(p, truth, 0.0, weights)


def focal(p: np.ndarray, truth: np.ndarray, gamma: float, weights: np.ndarray) -> LossAndGradient:
    """arXiv 1708.02002, equation 5: FL = -w (1 - p)^γ log p of the true class, here a mean weighted by w."""
    rows, slope = np.arange(len(p)), np.zeros_like(p)
    q, w, others = p[rows, truth], weights[truth], p.copy()
    others[rows, truth] = 0
    doubt = others.sum(1)  # 1 - q, also where q is 1 in float64
    losses = -(doubt**gamma) * np.log(q)
    slope[rows, truth] = w / w.sum() * (gamma * doubt ** (gamma - 1) * np.log(q) - doubt**gamma / q)
    return float((w * losses).sum() / w.sum()), slope


def dice(p: np.ndarray, truth: np.ndarray, gamma: float, weights: np.ndarray) -> LossAndGradient:
    """1 - 2 Σ p y / (Σ p + Σ y) of each class that a label has, and the mean of these."""
    classes, slope, total = np.unique(truth), np.zeros_like(p), 0.0
    for k in classes:
        y = (truth == k).astype(float)
        both, sizes = (p[:, k] * y).sum(), p[:, k].sum() + y.sum()
        total += (1 - 2 * both / sizes) / len(classes)
        slope[:, k] = -(2 * y / sizes - 2 * both / sizes**2) / len(classes)
    return total, slope


def lovasz(p: np.ndarray, truth: np.ndarray, gamma: float, weights: np.ndarray) -> LossAndGradient:
    """arXiv 1705.08790, equations 8 and 9: errors times the steps of the Jaccard loss, from the largest error down."""
    classes, slope, total = np.unique(truth), np.zeros_like(p), 0.0
    for k in classes:
        y = truth == k
        errors = np.abs(y - p[:, k])
        order = np.argsort(-errors, kind="stable")
        union = y.sum() + np.cumsum(~y[order])
        jaccard = 1 - (y.sum() - np.cumsum(y[order])) / union
        steps = np.diff(jaccard, prepend=0.0)
        total += (errors[order] * steps).sum() / len(classes)
        slope[order, k] = np.where(y[order], -1.0, 1.0) * steps / len(classes)
    return total, slope


DEFINITIONS = {"ce": cross_entropy, "focal": focal, "dice": dice, "lovasz": lovasz}


def of_backend(framework: str, config: LossConfig, weights: tuple[float, ...] | None = None) -> Callable[..., LossAndGradient]:
    """A backend's `Loss` of given logits: logits and labels -> loss / weight, and its gradient by the logits.

    `framework` is one of FRAMEWORKS.
    """
    backend, _, mode = framework.partition(", ")
    whole = replace(CONFIG, loss=config)
    if backend == "torch":
        import torch

        from backend_torch.learner import Loss

        loss = Loss(lambda images, paths, channels: images, whole, weights)

        def torch_gradient(logits: np.ndarray, labels: np.ndarray) -> LossAndGradient:
            scores = torch.from_numpy(logits).requires_grad_()
            total, weight = loss(scores, torch.from_numpy(labels), None, None)
            value = total / weight.clamp(min=SMALLEST_WEIGHT)
            value.backward()
            return float(value.detach()), scores.grad.numpy()

        return torch_gradient
    from mindspore import Tensor

    from backend_mindspore.device import connect
    from backend_mindspore.learner import Loss as MindSporeLoss
    from parity_tests.mindspore_cells import Given, LossOfLogits

    connect(replace(runtime_of("mindspore"), execution_mode=mode))
    cell = LossOfLogits(MindSporeLoss(Given(), whole, weights))

    def mindspore_gradient(logits: np.ndarray, labels: np.ndarray) -> LossAndGradient:
        value, gradient = cell(Tensor(logits), Tensor(labels))
        return float(value), gradient.asnumpy()

    return mindspore_gradient
