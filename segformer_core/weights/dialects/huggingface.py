"""transformers: version 4, version 5, and its TensorFlow models."""

from segformer_core.weights.architecture import BATCH_NORM, CLASSIFIER, CONVOLUTION, DEPTHWISE, LAYER_NORM, LINEAR
from segformer_core.weights.dialect import Dialect
from segformer_core.weights.dialects.names import below

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

TENSORFLOW_NORM = {
    "weight": "/gamma:0",
    "bias": "/beta:0",
    "running_mean": "/moving_mean:0",
    "running_var": "/moving_variance:0",
}

TENSORFLOW_LEAVES = {"": {"weight": "/kernel:0", "bias": "/bias:0"}, LAYER_NORM: TENSORFLOW_NORM, BATCH_NORM: TENSORFLOW_NORM}

TENSORFLOW_AXES = {LINEAR: (1, 0), CONVOLUTION: (2, 3, 1, 0), DEPTHWISE: (2, 3, 1, 0)}  # its depthwise is a grouped convolution


def slashed(names: dict[str, str]) -> dict[str, str]:
    """PyTorch's names, as TensorFlow spells them: an index follows the name of its list after a dot."""
    return {slot: name.replace(".", "/").replace("/{s}", ".{s}").replace("/{b}", ".{b}") for slot, name in names.items()}


def tensorflow(title: str, names: dict[str, str], model: str = "") -> Dialect:
    """The models of a class in TensorFlow. In an .h5 file the group of each layer contains the model's name again."""
    inside = slashed(below("segformer.", TRANSFORMERS_4_ENCODER) | names)
    if model:
        inside = {slot: f"{name.partition('/')[0]}/{model}/{name}" for slot, name in inside.items()}
    return Dialect("tf", title, inside, TENSORFLOW_LEAVES, TENSORFLOW_AXES, numerics="hf")


HEAD_CLASSIFIER = {CLASSIFIER: "classifier"}

TENSORFLOW = tensorflow("transformers, TensorFlow", TRANSFORMERS_4_HEAD, "tf_segformer_for_semantic_segmentation")

TENSORFLOW_CLASSIFIER = tensorflow(
    "transformers, TensorFlow, image classifier", HEAD_CLASSIFIER, "tf_segformer_for_image_classification"
)

TENSORFLOW_BASE = tensorflow("transformers, TensorFlow, base model", {}, "tf_segformer_model")

TENSORFLOW_SHARED = tensorflow("transformers, TensorFlow, in safetensors or shards", TRANSFORMERS_4_HEAD | HEAD_CLASSIFIER)
"""Its other files leave out the layer's group and the model's name."""
