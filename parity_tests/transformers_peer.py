"""transformers' SegFormer as an oracle from outside: its names for our arrays, and its logits.

The names are those of transformers 4 and of what every version writes to disk (`SegformerForSemanticSegmentation`).
"""

import tempfile
from pathlib import Path

import numpy as np

from segformer_core.spec.model import VARIANTS, SegFormer
from segformer_core.weights.reading import read
from segformer_core.weights.store import save_weights
from segformer_core.weights.writing import exported, plan_writing


def peer_state(spec: SegFormer, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our arrays under transformers' names."""
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder) / "ours.safetensors", spec, arrays)
        weights = read(Path(folder) / "ours.safetensors")
        return exported(weights, plan_writing(weights, Path(folder) / "theirs"))


def peer_model(spec: SegFormer, arrays: dict[str, np.ndarray]):
    """transformers' model with our arrays, in inference mode."""
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    variant = VARIANTS[spec.variant]
    model = SegformerForSemanticSegmentation(
        SegformerConfig(
            num_channels=spec.in_channels,
            depths=list(variant.depths),
            hidden_sizes=list(variant.widths),
            decoder_hidden_size=spec.decoder_width,
            num_labels=spec.class_count,
            hidden_dropout_prob=0.0,
            classifier_dropout_prob=0.0,
            drop_path_rate=0.0,
        )
    )
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in peer_state(spec, arrays).items()})
    return model.eval()
