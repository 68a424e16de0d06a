"""What is left of a file's labels where a compiler lowers all types: told before the file goes to a device."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from segformer_core.export.verification import TOLERANCES, Comparison, compare, image_batches, normalised
from segformer_core.protocol.form import Form
from segformer_core.protocol.probe import Probe, Rounded
from segformer_core.spec.model import SegFormer

WORST = "worst"
"""The probe in which nothing is spared: weights and the output of every operator are rounded."""
FULL = "fp32"
RANGES = {"fp16": float(np.finfo(np.float16).max), "bf16": (2 - 2**-7) * 2.0**127}
"""Type -> its largest number."""
KEPT = TOLERANCES["fp16", True].agreement
"""The share of labels below which a user is warned: that below which a file of fp16 is not kept."""


def probed(
    probe: Probe,
    spec: SegFormer,
    arrays: Mapping[str, np.ndarray],
    form: Form,
    images: Sequence[np.ndarray],
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Run the network of a file in each type of RANGES on (H, W, C) images, and log a line for each.

    Returns the sidecar's `probe`.
    """
    form = replace(form, dynamic=False, precision=FULL)
    batches = image_batches(images, form)
    inputs = batches if form.preprocess else [normalised(batch, form) for batch in batches]
    log(f"running the network with every value in {' and in '.join(RANGES)} …")
    runs = probe(spec, arrays, form, inputs, (FULL, *RANGES))
    full = runs[FULL]
    compared = {name: compare(runs[name].scores, full.scores, batches, replace(form, labels=False)) for name in RANGES}
    for name in RANGES:
        log(told(name, runs[name].overflow, full, compared[name]))
    layers = {layer: float(f"{largest:.4g}") for layer, largest in full.largest.items()}
    return {"kind": WORST, "types": {name: described(name, runs[name], compared[name]) for name in RANGES}, "layers": layers}


def described(name: str, run: Rounded, comparison: Comparison) -> dict[str, Any]:
    """One type, for the sidecar."""
    return {
        "range": RANGES[name],
        "overflow": run.overflow or None,
        "pixels": comparison.pixels,
        "near_ties": comparison.near_ties,
        "lost": comparison.unequal,
        "agreement": comparison.agreement,
    }


def told(name: str, overflow: str, full: Rounded, comparison: Comparison) -> str:
    """One type, for the user. `full` is the run in fp32."""
    layer, largest = max(full.largest.items(), key=lambda item: item[1])
    first = f"{overflow} overflows first" if overflow else "no layer overflows"
    lost = f"{comparison.unequal} of {comparison.pixels - comparison.near_ties} labels are lost ({1 - comparison.agreement:.2%})"
    sentence = (
        f"with every value in {name} {first} (the largest value is {largest:.4g}, in {layer}; {name} holds {RANGES[name]:.5g}), "
        f"and {lost}, without {comparison.near_ties} near ties"
    )
    if not overflow and comparison.agreement >= KEPT:
        return f"probe: {sentence}"
    return f"WARNING: {sentence}; let a compiler keep the file's types, as the sidecar's lines do"
