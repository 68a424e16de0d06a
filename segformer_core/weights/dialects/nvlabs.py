"""The paper's code base and those that took over the names of its encoder."""

from segformer_core.weights.architecture import BATCH_NORM, CLASSIFIER, FUSE_BIAS, LINEAR
from segformer_core.weights.dialect import TORCH_LEAVES, Dialect
from segformer_core.weights.dialects.names import BLOCK, below
from segformer_core.weights.dialects.own import MINDSPORE_LEAVES

NVLABS_ENCODER = {
    "patch_embed.proj": "patch_embed{i}.proj",
    "patch_embed.norm": "patch_embed{i}.norm",
    "norm": "norm{i}",
    **below("block{i}.{b}.", BLOCK | {"mlp.dwconv": "mlp.dwconv.dwconv"}),
}

NVLABS_HEAD = {
    "decode_head.linear_c": "decode_head.linear_c{i}.proj",
    "decode_head.linear_fuse.conv": "decode_head.linear_fuse.conv",
    "decode_head.linear_fuse.bn": "decode_head.linear_fuse.bn",
    "decode_head.linear_pred": "decode_head.linear_pred",
}

NVLABS = Dialect(
    "nvlabs",
    "NVlabs/SegFormer",
    below("backbone.", NVLABS_ENCODER) | NVLABS_HEAD | {CLASSIFIER: "head"},
    unused={"decode_head.conv_seg.weight": (128, 1, 1), "decode_head.conv_seg.bias": ()},
    unused_why="NVlabs' decode head inherits it and never computes with it",
    leftovers=("backbone.head.*",),
)

NVLABS_BACKBONE = Dialect("nvlabs", "NVlabs/SegFormer, encoder", NVLABS_ENCODER | {CLASSIFIER: "head"})

SMP = Dialect(
    "smp",
    "segmentation_models_pytorch",
    below("encoder.", NVLABS_ENCODER)
    | {
        "decode_head.linear_c": "decoder.mlp_stage.{r}.linear",
        "decode_head.linear_fuse.conv": "decoder.fuse_stage.0",
        "decode_head.linear_fuse.bn": "decoder.fuse_stage.1",
        "decode_head.linear_pred": "segmentation_head.0",
    },
    leftovers=("encoder.head.*", "classification_head.*"),
)

ZOO = Dialect(
    "zoo",
    "the MindSpore model zoo",
    below("backbone.", NVLABS_ENCODER | {"patch_embed.proj": "patch_embed{i}.conv", "attn.proj": "block{i}.{b}.attn.conv"})
    | NVLABS_HEAD,
    leaves=MINDSPORE_LEAVES,
    numerics="zoo",
)

PADDLE_LEAVES = {
    "": TORCH_LEAVES,
    BATCH_NORM: {"weight": ".weight", "bias": ".bias", "running_mean": "._mean", "running_var": "._variance"},
}

TRANSPOSED_LINEAR = {LINEAR: (1, 0)}

PADDLE = Dialect(
    "paddle",
    "PaddleSeg",
    below("backbone.", NVLABS_ENCODER)
    | {
        "decode_head.linear_c": "linear_c{i}.proj",
        "decode_head.linear_fuse.conv": "linear_fuse._conv",
        "decode_head.linear_fuse.bn": "linear_fuse._batch_norm",
        "decode_head.linear_pred": "linear_pred",
    },
    leaves=PADDLE_LEAVES,
    axes=TRANSPOSED_LINEAR,
)

PADDLE_BACKBONE = Dialect(
    "paddle", "PaddleSeg, encoder", NVLABS_ENCODER | {CLASSIFIER: "head"}, leaves=PADDLE_LEAVES, axes=TRANSPOSED_LINEAR
)

TAO = Dialect(
    "tao",
    "NVIDIA TAO 5",
    below("backbone.", NVLABS_ENCODER)
    | {
        "decode_head.linear_c": "decoder.linear_c{i}.proj",
        "decode_head.linear_fuse.conv": "decoder.linear_fuse.0",
        FUSE_BIAS: "decoder.linear_fuse.0",
        "decode_head.linear_fuse.bn": "decoder.linear_fuse.1",
        "decode_head.linear_pred": "decoder.linear_pred",
    },
)


def _reimplementation(title: str, linear_c: str, conv: str, bn: str, as_1x1: bool = False) -> Dialect:
    """The paper's code written anew, with other modules in its decode head. The convolution of its fusion may have a bias."""
    fuse = "decode_head.linear_fuse."
    head = {
        "decode_head.linear_c": f"decode_head.{linear_c}",
        **dict.fromkeys(("decode_head.linear_fuse.conv", FUSE_BIAS), fuse + conv),
        "decode_head.linear_fuse.bn": fuse + bn,
        "decode_head.linear_pred": "decode_head.linear_pred",
    }
    return Dialect(
        "nvlabs",
        f"NVlabs/SegFormer, {title}",
        below("backbone.", NVLABS_ENCODER) | head | {CLASSIFIER: "head"},
        as_1x1=frozenset({"decode_head.linear_c"} if as_1x1 else ()),
        leftovers=NVLABS.leftovers,
    )


SEQUENTIAL = ("0", "1")

REIMPLEMENTATIONS = (
    _reimplementation("its fusion an nn.Sequential", "linear_c{i}.proj", *SEQUENTIAL),
    _reimplementation("its levels an nn.Linear each", "linear_c{i}", "conv", "bn"),
    _reimplementation("its levels an nn.Linear each, its fusion an nn.Sequential", "linear_c{i}", *SEQUENTIAL),
    _reimplementation("its levels a convolution each", "linear_c{i}", "conv", "bn", as_1x1=True),
    _reimplementation("its levels a convolution each, its fusion an nn.Sequential", "linear_c{i}", *SEQUENTIAL, as_1x1=True),
)
"""Only read: what is written as nvlabs has the names of the paper's code."""
