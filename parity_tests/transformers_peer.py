"""transformers' SegFormer as an oracle from outside: its names for our arrays, and its logits.

The names are those of transformers 4 and of what every version writes to disk (`SegformerForSemanticSegmentation`).
"""

import numpy as np

from segformer_core.spec.arrays import array_specs
from segformer_core.spec.model import VARIANTS, SegFormer


def peer_state(spec: SegFormer, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our arrays under transformers' names; its keys and values are two layers, ours are one."""
    state: dict[str, np.ndarray] = {}
    for array in array_specs(spec):
        value, leaf = arrays[array.name], array.leaf_name
        match array.name.split("."):
            case ["stages", s, "patch_embed", "proj", _]:
                state[f"segformer.encoder.patch_embeddings.{s}.proj.{leaf}"] = value
            case ["stages", s, "patch_embed", "norm", _]:
                state[f"segformer.encoder.patch_embeddings.{s}.layer_norm.{leaf}"] = value
            case ["stages", s, "norm", _]:
                state[f"segformer.encoder.layer_norm.{s}.{leaf}"] = value
            case ["stages", s, "blocks", b, "attn", "kv", _]:
                attention = f"segformer.encoder.block.{s}.{b}.attention.self"
                state[f"{attention}.key.{leaf}"], state[f"{attention}.value.{leaf}"] = np.split(value, 2)
            case ["stages", s, "blocks", b, *path, _]:
                state[f"segformer.encoder.block.{s}.{b}.{BLOCK_NAMES['.'.join(path)]}.{leaf}"] = value
            case ["decode_head", "linear_c", level, _]:
                state[f"decode_head.linear_c.{level}.proj.{leaf}"] = value
            case ["decode_head", *path, _]:
                state[f"decode_head.{HEAD_NAMES['.'.join(path)]}.{leaf}"] = value
    state["decode_head.batch_norm.num_batches_tracked"] = np.array(0)
    return state


BLOCK_NAMES = {
    "norm1": "layer_norm_1",
    "attn.q": "attention.self.query",
    "attn.sr": "attention.self.sr",
    "attn.norm": "attention.self.layer_norm",
    "attn.proj": "attention.output.dense",
    "norm2": "layer_norm_2",
    "mlp.fc1": "mlp.dense1",
    "mlp.dwconv": "mlp.dwconv.dwconv",
    "mlp.fc2": "mlp.dense2",
}

HEAD_NAMES = {"linear_fuse.conv": "linear_fuse", "linear_fuse.bn": "batch_norm", "linear_pred": "classifier"}


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
    model.load_state_dict({name: torch.from_numpy(value) for name, value in peer_state(spec, arrays).items()})
    return model.eval()
