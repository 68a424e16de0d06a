"""Which keys each command reads. `parity_tests/config/test_reads.py` holds this table to the commands."""

from dataclasses import fields

from segformer_core.config.keys import GROUPS

IMAGES = ("data_path", "dataset_file", "base_size", "image_range", "img_norm_mean", "img_norm_std")
NETWORK = ("backbone", "class_num", "in_channels", "decoder_width", "numerics", "ckpt_part")
WINDOWS = ("eval_mode", "eval_crop_size", "eval_stride", "eval_blend", "eval_scales", "eval_size_divisor", "eval_flip")
LABELLING = ("dataset_num_parallel_workers", "eval_batch_size", *WINDOWS)
IN_TRAINING = ("run_eval", "eval_start_epoch", "eval_interval", "eval_interval_steps", "eval_loss", "early_stop")
"""When and how a training run evaluates."""
SCORES = ("eval_ckpt_path", "eval_split")


def _of(*groups: str) -> tuple[str, ...]:
    """The keys of whole groups."""
    return tuple(item.name for group in groups for item in fields(GROUPS[group]))


EXPORTS_OWN = frozenset(f"export_{name}" for name in ("ckpt_path", "format", "path", "name", "precision"))
"""What compare_exports says to each export; the others are the user's."""

READS: dict[str, frozenset[str]] = {
    "train": frozenset(
        _of("data", "model", "optimizer", "loss", "training", "runtime") + IN_TRAINING + LABELLING + ("eval_log_interval",)
    )
    - {"runtime"},
    "evaluate": frozenset(IMAGES + NETWORK + LABELLING + _of("evaluation", "runtime")) - frozenset(IN_TRAINING),
    "infer": frozenset(IMAGES + NETWORK + LABELLING + _of("inference", "runtime")),
    "export": frozenset(IMAGES + NETWORK + ("eval_size_divisor", "dataset_num_parallel_workers") + _of("export", "runtime")),
    "compare_backends": frozenset(IMAGES + NETWORK + WINDOWS + SCORES + _of("runtime")) - {"runtime"},
    "compare_exports": frozenset(IMAGES + NETWORK + WINDOWS + SCORES + _of("export", "runtime")) - {"runtime"} - EXPORTS_OWN,
}
"""Command -> the keys on which its work depends."""
