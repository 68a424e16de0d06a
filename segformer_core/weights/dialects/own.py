"""Our own names, and the same with MindSpore's names of the leaves."""

from segformer_core.weights.architecture import BATCH_NORM, BATCHES_TRACKED, CLASSIFIER, FUSE_BIAS, LAYER_NORM
from segformer_core.weights.dialect import TORCH_LEAVES, Dialect
from segformer_core.weights.dialects.names import BLOCK, below

CANONICAL_NAMES = {
    **below("stages.{s}.", {"patch_embed.proj": "patch_embed.proj", "patch_embed.norm": "patch_embed.norm", "norm": "norm"}),
    **below("stages.{s}.blocks.{b}.", BLOCK),
    "decode_head.linear_c": "decode_head.linear_c.{s}",
    "decode_head.linear_fuse.conv": "decode_head.linear_fuse.conv",
    "decode_head.linear_fuse.bn": "decode_head.linear_fuse.bn",
    "decode_head.linear_pred": "decode_head.linear_pred",
    CLASSIFIER: "classifier",
}

OPTIMIZER = "optimizer."
"""Prefix of the names in our checkpoints that are not weights."""

CANONICAL = Dialect(
    "canonical",
    "our own",
    CANONICAL_NAMES | {FUSE_BIAS: "decode_head.linear_fuse.conv"},
    keeps_optional_absent=True,
)

MINDSPORE_NORM = {"weight": ".gamma", "bias": ".beta", "running_mean": ".moving_mean", "running_var": ".moving_variance"}

MINDSPORE_LEAVES = {"": TORCH_LEAVES, LAYER_NORM: MINDSPORE_NORM, BATCH_NORM: MINDSPORE_NORM}

MINDSPORE_TRAINING = (
    *(r"(adam_m|adam_v|moments|moment1|moment2)\.", r"(beta1_power|beta2_power|scale_sense|global_step|epoch_num|step_num)$"),
    *(r"learning_rate\w*$", r"(current|last_overflow)_iterator_step$"),
)
"""Patterns of what MindSpore's training stores beside the weights."""

MINDSPORE = Dialect(
    "mindspore",
    "our own, as MindSpore names the leaves",
    CANONICAL_NAMES,
    leaves={**MINDSPORE_LEAVES, BATCH_NORM: {**MINDSPORE_NORM, BATCHES_TRACKED: f".{BATCHES_TRACKED}"}},
    keeps_optional_absent=True,
)
