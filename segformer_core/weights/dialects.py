"""Every dialect, as data. Names, layouts and constants were measured on the live models of each code base."""

from segformer_core.weights.architecture import (
    BATCH_NORM,
    BATCHES_TRACKED,
    CLASSIFIER,
    CONVOLUTION,
    DEPTHWISE,
    FUSE_BIAS,
    LAYER_NORM,
    LINEAR,
)
from segformer_core.weights.dialect import TORCH_LEAVES, Dialect


def below(prefix: str, names: dict[str, str]) -> dict[str, str]:
    return {slot: prefix + name for slot, name in names.items()}


BLOCK = {
    "norm1": "norm1",
    "attn.q": "attn.q",
    "attn.k": "attn.kv",
    "attn.v": "attn.kv",
    "attn.sr": "attn.sr",
    "attn.norm": "attn.norm",
    "attn.proj": "attn.proj",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.dwconv": "mlp.dwconv",
    "mlp.fc2": "mlp.fc2",
}

CANONICAL_NAMES = {
    **below("stages.{s}.", {"patch_embed.proj": "patch_embed.proj", "patch_embed.norm": "patch_embed.norm", "norm": "norm"}),
    **below("stages.{s}.blocks.{b}.", BLOCK),
    "decode_head.linear_c": "decode_head.linear_c.{s}",
    "decode_head.linear_fuse.conv": "decode_head.linear_fuse.conv",
    "decode_head.linear_fuse.bn": "decode_head.linear_fuse.bn",
    "decode_head.linear_pred": "decode_head.linear_pred",
    CLASSIFIER: "classifier",
}

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

TRANSFORMERS_4_ENCODER = {
    "patch_embed.proj": "encoder.patch_embeddings.{s}.proj",
    "patch_embed.norm": "encoder.patch_embeddings.{s}.layer_norm",
    "norm": "encoder.layer_norm.{s}",
    **below(
        "encoder.block.{s}.{b}.",
        {
            "norm1": "layer_norm_1",
            "attn.q": "attention.self.query",
            "attn.k": "attention.self.key",
            "attn.v": "attention.self.value",
            "attn.sr": "attention.self.sr",
            "attn.norm": "attention.self.layer_norm",
            "attn.proj": "attention.output.dense",
            "norm2": "layer_norm_2",
            "mlp.fc1": "mlp.dense1",
            "mlp.dwconv": "mlp.dwconv.dwconv",
            "mlp.fc2": "mlp.dense2",
        },
    ),
}

TRANSFORMERS_4_HEAD = {
    "decode_head.linear_c": "decode_head.linear_c.{s}.proj",
    "decode_head.linear_fuse.conv": "decode_head.linear_fuse",
    "decode_head.linear_fuse.bn": "decode_head.batch_norm",
    "decode_head.linear_pred": "decode_head.classifier",
}

TRANSFORMERS_5_ENCODER = {
    **below(
        "stages.{s}.",
        {
            "patch_embed.proj": "patch_embeddings.proj",
            "patch_embed.norm": "patch_embeddings.layer_norm",
            "norm": "layer_norm",
        },
    ),
    **below(
        "stages.{s}.blocks.{b}.",
        {
            "norm1": "layernorm_before",
            "attn.q": "attention.q_proj",
            "attn.k": "attention.k_proj",
            "attn.v": "attention.v_proj",
            "attn.sr": "attention.sequence_reduction.sequence_reduction",
            "attn.norm": "attention.sequence_reduction.layer_norm",
            "attn.proj": "attention.o_proj",
            "norm2": "layernorm_after",
            "mlp.fc1": "mlp.fc1",
            "mlp.dwconv": "mlp.dwconv.dwconv",
            "mlp.fc2": "mlp.fc2",
        },
    ),
}

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

TIMM_ENCODER = {
    "patch_embed.proj": "{merge}.proj",
    "patch_embed.norm": "{merge}.norm",
    "norm": "stages.{s}.norm",
    **below("stages.{s}.blocks.{b}.", BLOCK),
}

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

MINDSPORE_NORM = {"weight": ".gamma", "bias": ".beta", "running_mean": ".moving_mean", "running_var": ".moving_variance"}
MINDSPORE_LEAVES = {"": TORCH_LEAVES, LAYER_NORM: MINDSPORE_NORM, BATCH_NORM: MINDSPORE_NORM}
PADDLE_LEAVES = {
    "": TORCH_LEAVES,
    BATCH_NORM: {"weight": ".weight", "bias": ".bias", "running_mean": "._mean", "running_var": "._variance"},
}
KERAS_LEAVES = {
    "": {leaf: f"/vars/{index}" for index, leaf in enumerate(("weight", "bias", "running_mean", "running_var"))},
}
TENSORFLOW_NORM = {
    "weight": "/gamma:0",
    "bias": "/beta:0",
    "running_mean": "/moving_mean:0",
    "running_var": "/moving_variance:0",
}
TENSORFLOW_LEAVES = {"": {"weight": "/kernel:0", "bias": "/bias:0"}, LAYER_NORM: TENSORFLOW_NORM, BATCH_NORM: TENSORFLOW_NORM}

TRANSPOSED_LINEAR = {LINEAR: (1, 0)}
KERAS_AXES = {LINEAR: (1, 0), CONVOLUTION: (2, 3, 1, 0), DEPTHWISE: (2, 3, 0, 1)}
TENSORFLOW_AXES = {LINEAR: (1, 0), CONVOLUTION: (2, 3, 1, 0), DEPTHWISE: (2, 3, 1, 0)}  # its depthwise is a grouped convolution

MINDSPORE_LEFTOVERS = (
    *("adam_m.*", "adam_v.*", "moments.*", "moment1.*", "moment2.*", "beta1_power", "beta2_power", "learning_rate*"),
    *("scale_sense", "global_step", "current_iterator_step", "last_overflow_iterator_step", "epoch_num", "step_num"),
)

OPTIMIZER = "optimizer."
"""Before the names of a checkpoint of ours that are not weights."""

CANONICAL = Dialect(
    "canonical",
    "our own",
    CANONICAL_NAMES | {FUSE_BIAS: "decode_head.linear_fuse.conv"},
    leftovers=(f"{OPTIMIZER}*",),
    keeps_optional_absent=True,
)
MINDSPORE = Dialect(
    "mindspore",
    "our own, as MindSpore names the leaves",
    CANONICAL_NAMES,
    leaves={**MINDSPORE_LEAVES, BATCH_NORM: {**MINDSPORE_NORM, BATCHES_TRACKED: f".{BATCHES_TRACKED}"}},
    leftovers=MINDSPORE_LEFTOVERS,
    keeps_optional_absent=True,
)
NVLABS = Dialect(
    "nvlabs",
    "NVlabs/SegFormer",
    below("backbone.", NVLABS_ENCODER) | NVLABS_HEAD | {CLASSIFIER: "head"},
    unused={"decode_head.conv_seg.weight": (128, 1, 1), "decode_head.conv_seg.bias": ()},
    unused_why="NVlabs' decode head inherits it and never computes with it",
)
NVLABS_BACKBONE = Dialect("nvlabs", "NVlabs/SegFormer, encoder", NVLABS_ENCODER | {CLASSIFIER: "head"})
TRANSFORMERS_4 = Dialect(
    "hf",
    "transformers",
    below("segformer.", TRANSFORMERS_4_ENCODER) | TRANSFORMERS_4_HEAD | {CLASSIFIER: "classifier"},
    numerics="hf",
)
TRANSFORMERS_4_BASE = Dialect("hf", "transformers, base model", TRANSFORMERS_4_ENCODER, numerics="hf")
TRANSFORMERS_5 = Dialect(
    "hf5",
    "transformers 5 in memory",
    below("segformer.", TRANSFORMERS_5_ENCODER)
    | TRANSFORMERS_4_HEAD
    | {"decode_head.linear_c": "decode_head.linear_projections.{s}.proj", CLASSIFIER: "classifier"},
    numerics="hf",
)
TRANSFORMERS_5_BASE = Dialect("hf5", "transformers 5 in memory, base model", TRANSFORMERS_5_ENCODER, numerics="hf")
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
ZOO = Dialect(
    "zoo",
    "the MindSpore model zoo",
    below("backbone.", NVLABS_ENCODER | {"patch_embed.proj": "patch_embed{i}.conv", "attn.proj": "block{i}.{b}.attn.conv"})
    | NVLABS_HEAD,
    leaves=MINDSPORE_LEAVES,
    leftovers=MINDSPORE_LEFTOVERS,
    numerics="zoo",
)
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


def keras(title: str, names: dict[str, str], name: str = "keras") -> Dialect:
    return Dialect(name, title, names, KERAS_LEAVES, KERAS_AXES, leftovers=("optimizer/*", "task:optimizer/*"), numerics="keras")


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
"""Before a name that lies in the second file of a keras-hub preset, task.weights.h5."""
KERAS_PRESET = keras(
    "keras-hub, preset",
    below("layers/functional/", KERAS_ENCODER) | KERAS_HEAD | {"decode_head.linear_pred": f"{TASK}layers/conv2d"},
    name="keras_preset",
)
KERAS_PRESET_CLASSIFIER = keras(
    "keras-hub, preset of an image classifier", KERAS_ENCODER | {CLASSIFIER: f"{TASK}layers/dense"}, name="keras_preset"
)


def tensorflow(names: dict[str, str], model: str) -> dict[str, str]:
    """PyTorch's names as transformers' TensorFlow models have them.

    A list's number stays with its list, by a dot, and the model's name is repeated inside the group of each of its layers.
    """
    slashed = {slot: name.replace(".", "/").replace("/{s}", ".{s}").replace("/{b}", ".{b}") for slot, name in names.items()}
    return {slot: f"{name.partition('/')[0]}/{model}/{name}" for slot, name in slashed.items()}


TENSORFLOW = Dialect(
    "tf",
    "transformers, TensorFlow",
    tensorflow(below("segformer.", TRANSFORMERS_4_ENCODER) | TRANSFORMERS_4_HEAD, "tf_segformer_for_semantic_segmentation"),
    TENSORFLOW_LEAVES,
    TENSORFLOW_AXES,
    numerics="hf",
)
TIMM = Dialect("timm", "timm's pvt_v2 hosting MiT", TIMM_ENCODER | {CLASSIFIER: "head"})
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

DIALECTS = (
    CANONICAL,
    MINDSPORE,
    NVLABS,
    NVLABS_BACKBONE,
    TRANSFORMERS_4,
    TRANSFORMERS_4_BASE,
    TRANSFORMERS_5,
    TRANSFORMERS_5_BASE,
    SMP,
    MMSEG_BACKBONE,  # first: files of the encoder alone have no prefix there
    MMSEG,
    ZOO,
    PADDLE,
    PADDLE_BACKBONE,
    KERAS_SEGMENTER,
    KERAS_CLASSIFIER,
    KERAS_BACKBONE,
    KERAS_PRESET,
    KERAS_PRESET_CLASSIFIER,
    TENSORFLOW,
    TIMM,
    TAO,
)
