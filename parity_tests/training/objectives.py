"""Objectives by their definitions in numpy and float64, and those of both backends over given logits, each with its gradient.

`python -m parity_tests.training.objectives` prints how far they are apart, as docs/parity.md has it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from parity_tests.support import CONFIG, MODES, difference, mindspore_runtime
from segformer_core.config.keys import LossConfig
from segformer_core.config.objective import NAMES, objective
from segformer_core.protocol.groups import SMALLEST_WEIGHT

LossAndGradient = tuple[float, np.ndarray]
IGNORED, CLASSES = 255, 5
OBJECTIVES = ("ce", "focal", "dice", "lovasz", "ce, dice", "ce: 0.5, dice: 2, focal, lovasz: 0.3")
FRAMEWORKS = ("torch", *(f"mindspore, {mode}" for mode in MODES))


def drawn(case: str) -> tuple[np.ndarray, np.ndarray]:
    """(2, 5, 12, 16) float32 logits and int32 labels."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((2, CLASSES, 12, 16)).astype(np.float32) * 3
    labels = rng.integers(0, CLASSES, (2, 12, 16)).astype(np.int32)
    match case:
        case "some ignored":
            labels[0, :3] = 255
        case "absent classes":
            labels = np.where(labels > 1, 255, labels).astype(np.int32)
        case "one pixel":
            labels[:] = 255
            labels[1, 4, 7] = 3
        case "sure of itself":
            logits *= 20
        case "none counted":
            labels[:] = 255
    return logits, labels


CASES = ("anything", "some ignored", "absent classes", "one pixel", "sure of itself", "none counted")


def relative(got: np.ndarray, want: np.ndarray) -> float:
    """The largest difference as a share of the largest entry."""
    return difference(got, want) / max(float(np.abs(want).max()), 1e-30)


def terms_of(loss: str) -> dict[str, float]:
    """Name -> weight of the losses in a value of the key `loss`."""
    return {name: weight for name in NAMES if (weight := getattr(objective(loss), name))}


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

    `framework` is one of FRAMEWORKS, "mindspore, operators"; or "mindspore" alone, as it was connected before.
    """
    backend, _, form = framework.partition(", ")
    whole = replace(CONFIG, loss=config)
    if backend == "torch":
        import torch

        from backend_torch.training_step import Loss

        given: Any = lambda images, paths, channels: images  # noqa: E731
        loss = Loss(given, whole, weights)

        def torch_gradient(logits: np.ndarray, labels: np.ndarray) -> LossAndGradient:
            scores = torch.from_numpy(logits).requires_grad_()
            total, weight = loss(scores, torch.from_numpy(labels), None, None)
            value = total / weight.clamp(min=SMALLEST_WEIGHT)
            value.backward()
            assert scores.grad is not None
            return float(value.detach()), scores.grad.numpy()

        return torch_gradient
    from mindspore import Tensor

    from backend_mindspore.device import connect
    from backend_mindspore.native.library import calls_to, library_for
    from backend_mindspore.training_step import Loss as MindSporeLoss
    from parity_tests.mindspore_cells import Given, LossOfLogits

    if form:
        connect(mindspore_runtime(form))
    with calls_to(library_for(mindspore_runtime(form or "graph"), print)):
        cell = LossOfLogits(MindSporeLoss(Given(), whole, weights))

    def mindspore_gradient(logits: np.ndarray, labels: np.ndarray) -> LossAndGradient:
        value, gradient = cell(Tensor(logits), Tensor(labels))
        return float(value), gradient.asnumpy()

    return mindspore_gradient


MEASURED = ("anything", "some ignored", "absent classes", "one pixel")


def largest(framework: str, loss: str) -> LossAndGradient:
    """The largest relative differences from the definition, of the loss and of the gradient, over the cases."""
    found, pairs = of_backend(framework, LossConfig(loss=loss)), []
    for case in MEASURED:
        logits, labels = drawn(case)
        (got, gradient), (want, by_logits) = found(logits, labels), by_definition(logits, labels, terms_of(loss))
        pairs.append((abs(got - want) / want, relative(gradient, by_logits)))
    return max(pair[0] for pair in pairs), np.array(max(pair[1] for pair in pairs))


if __name__ == "__main__":
    print("| `loss` |" + "".join(f" {framework}: loss | gradient |" for framework in FRAMEWORKS))
    print("|---|" + "---|---|" * len(FRAMEWORKS))
    for wanted in OBJECTIVES:
        cells = [f" {float(value):.1e} |" for framework in FRAMEWORKS for value in largest(framework, wanted)]
        print(f"| `{wanted}` |" + "".join(cells))
