"""Code bases that have SegFormer's encoder and another head, or none: mmsegmentation and timm."""

from segformer_core.weights.architecture import CLASSIFIER
from segformer_core.weights.dialect import Dialect
from segformer_core.weights.dialects.names import BLOCK, below

MMSEG_ENCODER = {
    **below("layers.{s}.", {"patch_embed.proj": "0.projection", "patch_embed.norm": "0.norm", "norm": "2"}),
    **below(
        "layers.{s}.1.{b}.",
        {
            "norm1": "norm1",
            "attn.q": "attn.attn.in_proj_{leaf}",
            "attn.k": "attn.attn.in_proj_{leaf}",
            "attn.v": "attn.attn.in_proj_{leaf}",
            "attn.sr": "attn.sr",
            "attn.norm": "attn.norm",
            "attn.proj": "attn.attn.out_proj",
            "norm2": "norm2",
            "mlp.fc1": "ffn.layers.0",
            "mlp.dwconv": "ffn.layers.1",
            "mlp.fc2": "ffn.layers.4",
        },
    ),
}

MMSEG_HEAD = (
    "mmsegmentation's head is another function (convolution, BatchNorm and ReLU at each level, then a fusion from c1 to c4)"
)

MMSEG = Dialect(
    "mmseg",
    "mmsegmentation",
    below("backbone.", MMSEG_ENCODER),
    as_1x1=frozenset({"mlp.fc1", "mlp.fc2"}),
    leftovers=("auxiliary_head.*",),
    numerics="mmseg",
    refused_head=MMSEG_HEAD,
)

MMSEG_BACKBONE = Dialect(
    "mmseg", "mmsegmentation, encoder", MMSEG_ENCODER, as_1x1=frozenset({"mlp.fc1", "mlp.fc2"}), numerics="mmseg"
)

TIMM_ENCODER = {
    "patch_embed.proj": "{merge}.proj",
    "patch_embed.norm": "{merge}.norm",
    "norm": "stages.{s}.norm",
    **below("stages.{s}.blocks.{b}.", BLOCK),
}

TIMM = Dialect("timm", "timm's pvt_v2 hosting MiT", TIMM_ENCODER | {CLASSIFIER: "head"})
