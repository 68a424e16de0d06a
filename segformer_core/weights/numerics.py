"""What another code base computes differently with the same weights, and how large the difference was measured to be."""

from segformer_core.spec.model import NUMERICS
from segformer_core.weights.dialect import Dialect

NORMS = {"patch_norm_eps": "patch", "block_norm_eps": "block", "sr_norm_eps": "sr", "stage_norm_eps": "stage"}

EPS_EFFECT = "2e-5 in features and 1e-5 in logits of ordinary weights; an untrained network can change 14 % of its pixels"
MMSEG_EPS_EFFECT = "up to 1e-4 in features and 5e-5 in logits"
GELU_EFFECT = "up to 1e-3 in features and 4e-4 in logits"
"""Measured by parity_tests/weights/test_numerics.py on B0 and, by the same functions, on B5: largest absolute differences."""

CODE = {
    "smp": "segmentation_models_pytorch upsamples its logits with align_corners: 2 to 9 % of random weights' pixels change "
    "class; its logits at a quarter of the size are the same; it takes sizes divisible by 32 only",
    "zoo": "the model zoo pads the sr convolutions at sizes not divisible by 32, which changes everything; decoders other than "
    "256 (B0) and 512 wide need its code changed",
    "keras": "keras-hub takes square images of one fixed size only",
    "keras_preset": "keras-hub takes square images of one fixed size only",
    "paddle": "PaddleSeg's own recipes normalise images with mean 127.5 and deviation 127.5, not with these weights'",
}
"""What differs besides the constants, by dialect."""

IMPORTED = {
    "paddle": "PaddleSeg's own recipes normalise images with mean 127.5 and deviation 127.5: if these weights come from one, set "
    "img_norm_mean and img_norm_std to 127.5",
}
"""What a user must know about weights from a code base."""


def differences(numerics: str, target: Dialect) -> list[str]:
    """Sentences on what `target`'s code computes differently from the profile `numerics`."""
    before, after = NUMERICS[numerics], NUMERICS[target.numerics]
    sentences = []
    pairs = {label: (getattr(after, key), getattr(before, key)) for key, label in NORMS.items()}
    changed = [f"{label} {new:g} for {old:g}" for label, (new, old) in pairs.items() if new != old]
    if changed:
        constants = ", ".join(changed)
        effect = MMSEG_EPS_EFFECT if "mmseg" in (numerics, target.numerics) else EPS_EFFECT
        sentences.append(f"{target.title} computes LayerNorm with another eps ({constants}): {effect}")
    if before.gelu != after.gelu:
        sentences.append(f"{target.title} computes GELU by {after.gelu}, these weights' code by {before.gelu}: {GELU_EFFECT}")
    if target.name in CODE and target.name != numerics:
        sentences.append(CODE[target.name])
    return sentences
