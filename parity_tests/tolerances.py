"""The one table of tolerances: what each rung of the ladder may differ by, what was measured, and why it is not zero.

Absolute differences of float32 values that are O(1) (hot weights). Measured on a 2-core x86-64 CPU with torch 2.13.0 and
MindSpore 2.10.0; `SEGFORMER_DEVICE` picks the column. A scale to read a difference by: 1e-5 fine, 2e-5 an eps, 1e-3 the GELU,
above 1e-2 a mapping bug.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    cpu: float
    accelerator: float
    measured_cpu: float
    reason: str


TOLERANCES = {
    "leaf": Tolerance(3e-6, 1e-4, 0, "one layer; sums of up to 64 products, or a handful of roundings"),
    "convolution": Tolerance(2e-5, 1e-3, 0, "sums of up to 512 products"),
    "tanh GELU": Tolerance(1.5e-4, 1e-3, 0, "MindSpore's tanh on a CPU is a rational approximation, 1e-4 off"),
    "attention": Tolerance(2e-5, 1e-3, 0, "MindSpore's exp in softmax on a CPU is 1e-5 off, relatively"),
    "features": Tolerance(1e-5, 1e-3, 0, "a few hundred layers' roundings"),
    "logits": Tolerance(1e-5, 1e-3, 0, "the same, and the head"),
    "tanh logits": Tolerance(1e-3, 1e-3, 0, "profile zoo: MindSpore's tanh again"),
    "loss": Tolerance(1e-5, 1e-3, 0, "a mean of float32 logs"),
    "gradients": Tolerance(1e-4, 1e-2, 0, "relative to each gradient's largest entry"),
    "running statistics": Tolerance(1e-5, 1e-3, 0, "sums over the batch's pixels"),
    "one AdamW step": Tolerance(1e-5, 1e-4, 0, "a step of 1e-2 (the head), with a gradient that is 1e-5 off"),
    "losses of twenty steps": Tolerance(1e-4, 1e-2, 0, "AdamW's first steps are ±lr: a gradient near 0 may change sign"),
    "weights after twenty steps": Tolerance(1e-3, 1e-2, 0, "the same"),
}


def tolerance(name: str, device: str = "CPU") -> float:
    row = TOLERANCES[name]
    return row.cpu if device == "CPU" else row.accelerator
