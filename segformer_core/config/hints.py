"""What to write in place of a key, or of a word, that this project does not know."""

import difflib

from segformer_core.config.keys import KEYS

WEIGHTS = "pretrained_ckpt_path (train), eval_ckpt_path (evaluate), infer_ckpt_path (infer) or export_ckpt_path (export)"
OUTPUT = "checkpoint_path (train), eval_output_path (evaluate), infer_output_path (infer) or export_path (export)"
SIZES = "base_size (what an image is fitted into) and crop_size (what is cut out of it in training)"
CONFIG_PATH = "config_path"

ELSEWHERE: dict[str, tuple[str, ...]] = {
    "data_path": ("data", "data_root", "data_dir", "data_folder", "dataset", "dataset_path", "dataset_dir", "root", "input",
                  "input_path", "source", "image_path", "images"),
    "dataset_file": ("data_yaml", "dataset_yaml", "class_names", "classes", "names"),
    "dataset_num_parallel_workers": ("num_workers", "workers", "n_workers", "workers_per_gpu", "dataloader_num_workers"),
    SIZES: ("img_size", "image_size", "input_size", "imgsz", "img_scale", "resolution", "size"),
    "img_norm_mean": ("mean", "img_mean", "image_mean", "pixel_mean", "norm_mean"),
    "img_norm_std": ("std", "img_std", "image_std", "pixel_std", "norm_std"),
    "backbone": ("model", "model_name", "arch", "architecture", "variant", "encoder", "phi"),
    "class_num": ("num_classes", "n_classes", "nclass", "num_class", "num_labels", "number_of_classes", "nc"),
    "decoder_width": ("embed_dim", "embedding_dim", "decoder_channels", "decoder_hidden_size", "hidden_size"),
    "drop_path_rate": ("drop_path", "stochastic_depth", "drop_rate"),
    "head_dropout_rate": ("dropout", "dropout_rate", "dropout_ratio", "classifier_dropout_prob"),
    "lr": ("learning_rate", "base_lr", "init_lr", "initial_lr", "lr0"),
    "momentum": ("beta1", "adam_beta1", "betas"),
    "weight_decay": ("wd", "decay"),
    "warmup_steps": ("warmup", "warmup_iters", "warmup_iterations"),
    "poly_power": ("power",),
    "ema_decay": ("ema", "model_ema", "use_ema", "model_ema_decay"),
    "ema_decay, which is 1 minus it": ("ema_momentum",),
    "loss": ("loss_decode", "criterion", "loss_fn", "loss_function", "loss_type", "loss_name"),
    "class_weights": ("class_weight",),
    "ohem_threshold": ("ohem", "ohem_thresh", "use_ohem"),
    "clip_norm": ("grad_clip", "clip_grad", "max_grad_norm", "grad_clip_norm", "gradient_clip_val"),
    "head_lr_multiplier": ("head_lr_mult", "lr_mult", "decoder_lr_multiplier"),
    "freeze_encoder_epochs": ("freeze", "freeze_backbone", "freeze_train", "freeze_epoch"),
    "epoch_size": ("epochs", "epoch", "num_epochs", "n_epochs", "max_epoch", "max_epochs", "num_train_epochs"),
    "max_steps": ("max_iters", "max_iter", "max_iterations", "iterations", "iters", "total_steps", "num_steps", "train_steps"),
    "batch_size": ("batch", "bs", "train_batch_size", "samples_per_gpu", "images_per_gpu", "per_device_train_batch_size"),
    "accumulation_steps": ("grad_accum", "accumulate", "accumulate_grad_batches", "gradient_accumulation_steps"),
    "seed": ("random_seed", "manual_seed", "rng_seed"),
    WEIGHTS: ("checkpoint", "checkpoint_file", "ckpt", "ckpt_path", "weights", "weight", "weights_path", "model_path"),
    "pretrained_ckpt_path": ("pretrained", "pretrain", "pretrained_path", "pretrained_weights", "load_from", "init_from"),
    "resume": ("resume_from", "auto_resume", "resume_path", "resume_from_checkpoint"),
    OUTPUT: ("output", "output_dir", "output_path", "out_dir", "outdir", "work_dir", "save_dir", "save_path"),
    "checkpoint_path": ("checkpoint_dir", "ckpt_dir", "log_dir", "logdir"),
    "save_checkpoint_epoch_interval": ("save_interval", "save_freq", "save_period", "checkpoint_interval"),
    "save_interval_steps": ("save_steps", "save_interval_iters"),
    "eval_interval_steps": ("eval_steps", "val_interval", "val_check_interval"),
    "keep_checkpoints": ("max_keep_ckpts", "save_total_limit", "keep_checkpoint_max"),
    "train_log_interval": ("log_interval", "print_freq", "logging_steps"),
    "eval_loss": ("val_loss", "valid_loss", "validation_loss"),
    "early_stop": ("early_stopping", "patience", "early_stop_patience", "early_stopping_patience"),
    "run_eval": ("do_eval", "validate", "eval"),
    "eval_split": ("split",),
    "eval_flip": ("flip", "tta", "flip_test"),
    "eval_scales": ("scales", "ratios", "test_scales"),
    "export_format": ("format", "file_format"),
    "device_target": ("device", "accelerator", "use_gpu", "cuda", "platform"),
    "device_id": ("gpu", "gpus", "gpu_id", "gpu_ids", "device_ids"),
    "precision": ("amp", "use_amp", "fp16", "bf16", "half", "mixed_precision", "amp_level"),
    "ignore in dataset.yaml, as ignore: [255]": ("ignore_index", "ignore_label", "ignore_value", "ignore", "void_label"),
    "first_label: 1 and ignore: [0] in dataset.yaml": ("reduce_zero_label", "reduce_labels", "do_reduce_labels"),
    "label_map in dataset.yaml": ("id2label", "label_mapping", "label_map", "class_mapping"),
    "label_suffix in dataset.yaml": ("seg_map_suffix", "mask_suffix", "label_suffix"),
    "image_suffix in dataset.yaml": ("img_suffix", "image_suffix"),
    CONFIG_PATH: ("config", "cfg", "config_file", "yaml"),
}  # fmt: skip
"""What the user is told -> what other code bases call it."""

HERE = {foreign: ours for ours, names in ELSEWHERE.items() for foreign in names}

NOWHERE = {
    "optimizer": "leave it out: the optimizer is AdamW, and lr, momentum, beta2 and weight_decay are its keys",
    **dict.fromkeys(("enable_modelarts", "data_url", "train_url"), "leave it out: the data must be in a folder of this machine"),
}
"""Keys of the original repository's code for which there is none here -> what to do."""


def hint(name: str) -> str:
    """What to write in place of the unknown key `name`, to end its sentence."""
    plain = name.lower().replace("-", "_")
    near = difflib.get_close_matches(plain, [*KEYS, CONFIG_PATH], n=1)
    if plain in NOWHERE:
        return NOWHERE[plain]
    if plain in HERE:
        return f"here it is {HERE[plain]}"
    return f"did you mean {near[0]}?" if near else "--help all lists the keys"
