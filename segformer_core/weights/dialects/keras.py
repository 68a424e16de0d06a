"""keras-hub: files of one model, and presets of two files."""

from segformer_core.weights.architecture import CLASSIFIER, CONVOLUTION, DEPTHWISE, LINEAR
from segformer_core.weights.dialect import Dialect
from segformer_core.weights.dialects.names import below

KERAS_ENCODER = {
    "patch_embed.proj": "layers/overlapping_patching_and_embedding{_s}/proj",
    "patch_embed.norm": "layers/overlapping_patching_and_embedding{_s}/norm",
    "norm": "layers/layer_normalization{_s}",
    **below(
        "layers/hierarchical_transformer_encoder{_g}/",
        {
            "norm1": "norm1",
            "attn.q": "attn/q",
            "attn.k": "attn/k",
            "attn.v": "attn/v",
            "attn.sr": "attn/sr",
            "attn.norm": "attn/norm",
            "attn.proj": "attn/proj",
            "norm2": "norm2",
            "mlp.fc1": "mlp/fc1",
            "mlp.dwconv": "mlp/dwconv",
            "mlp.fc2": "mlp/fc2",
        },
    ),
}

KERAS_HEAD = {
    "decode_head.linear_c": "layers/dense{_r}",
    "decode_head.linear_fuse.conv": "layers/sequential/layers/conv2d",
    "decode_head.linear_fuse.bn": "layers/sequential/layers/batch_normalization",
}

KERAS_LEAVES = {
    "": {leaf: f"/vars/{index}" for index, leaf in enumerate(("weight", "bias", "running_mean", "running_var"))},
}

KERAS_AXES = {LINEAR: (1, 0), CONVOLUTION: (2, 3, 1, 0), DEPTHWISE: (2, 3, 0, 1)}


def keras(title: str, names: dict[str, str], name: str = "keras") -> Dialect:
    return Dialect(name, title, names, KERAS_LEAVES, KERAS_AXES, numerics="keras")


KERAS_SEGMENTER = keras(
    "keras-hub, segmenter",
    below("layers/seg_former_backbone/", below("layers/functional/", KERAS_ENCODER) | KERAS_HEAD)
    | {"decode_head.linear_pred": "layers/conv2d"},
)

KERAS_CLASSIFIER = keras(
    "keras-hub, image classifier", below("layers/mi_t_backbone/", KERAS_ENCODER) | {CLASSIFIER: "layers/dense"}
)

KERAS_BACKBONE = keras("keras-hub, encoder", KERAS_ENCODER)

TASK = "task:"
"""Prefix of a name that lies in the second file of a keras-hub preset, task.weights.h5."""

KERAS_PRESET = keras(
    "keras-hub, preset",
    below("layers/functional/", KERAS_ENCODER) | KERAS_HEAD | {"decode_head.linear_pred": f"{TASK}layers/conv2d"},
    name="keras_preset",
)

KERAS_PRESET_CLASSIFIER = keras(
    "keras-hub, preset of an image classifier", KERAS_ENCODER | {CLASSIFIER: f"{TASK}layers/dense"}, name="keras_preset"
)
