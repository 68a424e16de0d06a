"""transformers' SegFormer as an oracle from outside: its names for our arrays, and its logits.

The names are those of what every version writes to disk, and of version 4 in memory (`SegformerForSemanticSegmentation`).
"""

import tempfile
from pathlib import Path

import numpy as np

from segformer_core.spec.model import SegFormer
from segformer_core.weights.reading import read
from segformer_core.weights.store import save_weights
from segformer_core.weights.writing import exported, plan_writing, write


def peer_state(spec: SegFormer, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our arrays under transformers' names."""
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder) / "ours.safetensors", spec, arrays)
        weights = read(Path(folder) / "ours.safetensors")
        return exported(weights, plan_writing(weights, Path(folder) / "theirs"))


def peer_model(spec: SegFormer, arrays: dict[str, np.ndarray]):
    """transformers' model with our arrays, in inference mode: as it loads them itself, all of them and no other."""
    from transformers import SegformerForSemanticSegmentation

    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder) / "ours.safetensors", spec, arrays)
        weights, theirs = read(Path(folder) / "ours.safetensors"), Path(folder) / "theirs"
        write(weights, theirs, plan_writing(weights, theirs))
        model, info = SegformerForSemanticSegmentation.from_pretrained(theirs, output_loading_info=True)
    assert not any(info.values()), info
    return model.eval()
