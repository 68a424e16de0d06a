"""The one table of tolerances: what each rung of the ladder may differ by, what was measured, and why it is not zero.

Absolute differences of float32 values that are O(1) (hot weights). Measured on a 2-core x86-64 CPU with torch 2.13.0 and
MindSpore 2.10.0 and 2.7.0; on an H200 with torch 2.11.0 the same were found, but for one AdamW step: 7.6e-7. `SEGFORMER_DEVICE`
picks the column; the Ascend's is a first guess, nobody has measured it yet. A scale to read a difference by: 1e-5 fine, 2e-5 an
eps, 1e-3 the GELU, above 1e-2 a mapping bug.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    cpu: float
    ascend: float
    measured_cpu: float | None  # None: nobody has measured it
    reason: str


TOLERANCES = {
    "leaf": Tolerance(5e-6, 1e-4, 3.5e-6, "one layer: sums of up to 64 products, or a handful of roundings"),
    "convolution": Tolerance(2e-5, 1e-3, 5.5e-6, "sums of up to 512 products"),
    "attention": Tolerance(1e-5, 1e-3, 2.0e-6, "MindSpore's exp on a CPU is 1e-5 off, relatively"),
    "features": Tolerance(1e-5, 1e-3, 6.7e-6, "the roundings of up to a few hundred layers"),
    "logits": Tolerance(1e-5, 1e-3, 3.3e-6, "the same, and the head"),
    "loss": Tolerance(1e-5, 1e-3, 1.2e-6, "a mean of float32 logarithms"),
    "gradients": Tolerance(1e-4, 1e-2, 7.7e-5, "relative to each gradient's largest entry; sums over all pixels"),
    "running statistics": Tolerance(1e-5, 1e-3, 2.4e-7, "sums over the batch's pixels"),
    "one AdamW step": Tolerance(1e-6, 1e-4, 9.6e-8, "a step of 1e-2 (the head) from a gradient that is 1e-5 off"),
    "losses of twenty steps": Tolerance(1e-4, 1e-2, 4.0e-5, "the divergence of the weights"),
    "weights after twenty steps": Tolerance(1e-3, 1e-2, 5.7e-4, "AdamW's first steps are ±lr: a gradient near 0 may change sign"),
    "running mean after ten steps": Tolerance(1e-2, 3e-2, 2.3e-3, "relative; a sum of 1024 products with such weights"),
}
OUTSIDE_THE_LADDER = {
    "probabilities": Tolerance(5e-7, 5e-7, 9.8e-8, "a softmax in float32 beside one in float64"),
    "probabilities of a network": Tolerance(2e-6, 1e-3, 4.2e-7, "the logits' difference; p changes by a quarter of it at most"),
    "published mIoU, in points": Tolerance(
        0.1, 0.1, None, "the paper prints one decimal, which takes 0.05; as much again for decoders, resizing and near ties"
    ),
    "mIoU beside transformers": Tolerance(
        5e-3, 5e-3, 6.4e-4, "BatchNorm's running mean follows the noise of transformers' biases a little late (docs/parity.md)"
    ),
    "logits in bf16": Tolerance(0.05, 0.05, 1.9e-2, "bf16 has 8 significant bits, so a value is 4e-3 off; logits are up to 2.3"),
    "scores of noise": Tolerance(
        5e-5, 5e-5, 1.6e-5, "neighbours differ by up to 8, and the frameworks compute positions between pixels in float32"
    ),
}
"""Each of one test, which the ladder does not need."""


def tolerance(name: str, device: str = "CPU") -> float:
    row = (TOLERANCES | OUTSIDE_THE_LADDER)[name]
    return row.ascend if device == "Ascend" else row.cpu
