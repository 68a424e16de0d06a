"""Every key of the configuration, as one frozen dataclass per consumer.

Keys are unique across the groups, so files and flags are flat (`lr: 6e-5`, `--lr 6e-5`) while code sees `config.optimizer.lr`.
"""

from collections.abc import Callable
from dataclasses import Field, asdict, dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

from segformer_core.config.objective import written
from segformer_core.config.workers import auto_workers

PRECISIONS = ("fp32", "fp16", "bf16")
RUNTIMES = ("onnxruntime", "openvino")
"""Packages that run an ONNX file; the first is the usual one."""

LARGEST_NUMBER = 10**9
"""The largest whole number of a key that has no `high`: what is counted with it then fits 64 bits."""
LONGEST_SIDE = 65536
"""Pixels; a longer side is a slip of the pen, which no machine's memory holds."""
RGB_CHANNELS = 3
"""Of an image of red, green and blue, as pretrained weights take it."""
MOST_CHANNELS = 512
"""OpenCV resizes no image of more."""


def key(
    default: Any,
    meaning: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    decides: bool = False,
    listed: bool = False,
    path: bool = False,
    words: tuple[str, ...] = (),
    spelling: Callable[[Any, str], str] | None = None,
    share: bool = False,
    empty: bool = False,
    auto: Callable[[], int] | None = None,
) -> Any:
    """A field with its meaning, as `--help` prints it, and the values that it may have.

    `decides`: a training run's result depends on it, so a resumed run must keep it. `listed`: text that may also be given as
    a list. `path`: a file or folder, or one of `words`; an empty one means the first word. `spelling` gives the one text for all
    ways to write a value; it takes the value and the beginning of a sentence, and raises ConfigError. `share`: a whole number, or
    one below 1 as a share of the run's steps. `empty`: the list may have nothing in it. `auto`: what auto means.
    """
    limits = {"low": low, "high": high, "choices": choices, "path": path, "words": words, "spelling": spelling, "share": share}
    kinds = {"decides": decides, "listed": listed, "empty": empty, "auto": auto}
    return field(default=default, metadata={"meaning": meaning} | kinds | limits)


decisive, path_key = partial(key, decides=True), partial(key, path=True)


@dataclass(frozen=True)
class DataConfig:
    data_path: str = path_key(
        "./data/cityscapes/", "the dataset's folder; for infer also a file, a folder or a quoted pattern of images and videos"
    )
    dataset_file: str = path_key("", "YAML that names a folder dataset's classes; empty: dataset.yaml in data_path, if there")
    dataset_num_parallel_workers: int = key(4, "workers that read images; auto: by the cores", 0, 1024, auto=auto_workers)
    base_size: tuple[int, int] = decisive(
        (512, 1024), "height, width in pixels that an image is first resized to", low=32, high=LONGEST_SIDE
    )
    crop_size: tuple[int, int] = decisive((512, 1024), "height, width in pixels of a training crop", low=32, high=LONGEST_SIDE)
    image_range: tuple[float, ...] = decisive(
        (),
        "the values of files with more than 8 bits that become 0 and 255, such as [0,4095]; empty: 16 bits as [0,65535]",
        empty=True,
    )
    img_norm_mean: tuple[float, ...] = decisive((123.675, 116.28, 103.53), "mean of each channel, 0..255", low=0, high=255)
    img_norm_std: tuple[float, ...] = decisive(
        (58.395, 57.12, 57.375), "standard deviation of each channel, 0..255", low=1e-3, high=255
    )
    scale_range: tuple[float, float] = decisive((0.5, 2.0), "random scale of base_size in training", low=0.01, high=100)
    cat_max_ratio: float = decisive(0.75, "largest share of one class that a training crop should have", low=0, high=1)
    photometric_distortion: bool = decisive(True, "distort brightness, contrast, saturation and hue in training")


@dataclass(frozen=True)
class ModelConfig:
    backbone: str = decisive("mit_b0", "encoder: mit_b0 … mit_b5")
    class_num: int = decisive(
        0, "classes; 0: as many as the dataset names (train, evaluate), or as the weights have (infer, export)", low=0, high=255
    )
    ckpt_part: str = key("", "of several networks in the weight file, the one below this key or prefix; empty: the usual one")
    in_channels: int = decisive(RGB_CHANNELS, "channels of an image; 3: RGB", low=1, high=MOST_CHANNELS)
    decoder_width: int = decisive(0, "channels of the decode head; 0: the variant's default", low=0, high=65536)
    numerics: str = decisive("nvlabs", "whose constants (LayerNorm eps, GELU) are used: nvlabs, hf, mmseg, zoo or keras")
    drop_path_rate: float = decisive(0.1, "stochastic depth rate of the last block; rates rise linearly from 0", low=0, high=0.99)
    head_dropout_rate: float = decisive(0.1, "dropout rate of whole channels before the classifier", low=0, high=0.99)


@dataclass(frozen=True)
class OptimizerConfig:
    lr: float = decisive(6e-5, "AdamW's learning rate for the encoder", low=0)
    momentum: float = decisive(0.9, "AdamW's beta1", low=0, high=0.9999999)
    beta2: float = decisive(0.999, "AdamW's beta2", low=0, high=0.9999999)
    weight_decay: float = decisive(0.01, "decoupled weight decay; LayerNorms of the encoder are exempt", low=0)
    head_lr_multiplier: float = decisive(10.0, "the decode head's learning rate, as a multiple of lr", low=0)
    warmup_steps: float = decisive(1500, "steps of linear warm-up; below 1 a share of the run's steps", low=0, share=True)
    warmup_ratio: float = decisive(1e-6, "factor on the learning rate at the start of the warm-up", low=0, high=1)
    poly_power: float = decisive(1.0, "power of the poly decay", low=0)
    clip_norm: float = decisive(0.0, "largest norm of the whole gradient; 0: no clipping", low=0)
    freeze_encoder_epochs: int = decisive(0, "number of first epochs in which the encoder's weights stay unchanged", low=0)
    ema_decay: float = decisive(
        0.0,
        "decay of the weights' moving averages, which are then evaluated and saved as the best, such as 0.999; 0: none",
        low=0,
        high=0.9999999,
    )


@dataclass(frozen=True)
class LossConfig:
    loss: str = decisive(
        "ce",
        "what training minimises: ce, dice, focal or lovasz, or several with their weights: {ce: 1, dice: 0.5}",
        spelling=written,
    )
    focal_gamma: float = decisive(2.0, "focal loss: the power of 1 - p by which a sure pixel counts less", low=0, high=10)
    class_weights: str = decisive(
        "none", "weights of the classes in the loss: none, cityscapes, auto (rare classes weigh more) or a list", listed=True
    )
    loss_average: str = decisive(
        "counted",
        "the loss's divisor: counted pixels or all, ignored and padded too, as the paper's code",
        choices=("counted", "all"),
    )
    ohem_threshold: float = decisive(
        0.0, "only pixels whose true class has a lower probability count in the loss; 0: all pixels", low=0, high=1
    )
    ohem_min_kept: int = decisive(100_000, "with ohem_threshold: at least this many pixels per image count, the hardest", low=1)


@dataclass(frozen=True)
class TrainingConfig:
    epoch_size: int = decisive(200, "epochs", low=1, high=1_000_000)
    max_steps: int = decisive(0, "steps of the run, which may end within an epoch; 0: epoch_size epochs", low=0)
    batch_size: int = decisive(2, "images per step, over all devices and accumulated batches", low=1, high=65536)
    accumulation_steps: int = decisive(
        1, "batches whose gradients are added up for one step; each has batch_size / accumulation_steps / devices images", low=1
    )
    seed: int = decisive(
        0, "random seed of initial weights, order of images, augmentation and dropped branches", low=0, high=2**63 - 1
    )
    load_ckpt: bool = key(True, "start from pretrained_ckpt_path")
    pretrained_ckpt_path: str = path_key("", "weight file to start from")
    stem_init: str = key(
        "mean",
        "how weights for 3 channels start a network of others: mean (each channel as R, G, B together) or first (three kept)",
        choices=("mean", "first"),
    )
    save_checkpoint: bool = key(True, "save the weights")
    save_checkpoint_epoch_interval: int = key(1, "epochs between saved weights; the last step is always saved", low=1)
    save_interval_steps: int = key(0, "steps between saved weights; 0: save_checkpoint_epoch_interval epochs", low=0)
    save_best_ckpt: bool = key(True, "also keep the weights with the best mIoU")
    keep_checkpoints: int = key(5, "number of newest checkpoints to keep, besides the best; 0: all", low=0)
    resume: str = path_key(
        "auto",
        "auto: go on from the newest checkpoint in checkpoint_path, if any; none: start a new run; or a checkpoint file",
        words=("auto", "none"),
    )
    checkpoint_path: str = path_key("./checkpoint/", "folder for checkpoints, metrics and curves")
    check_data: bool = key(True, "read every image and label once before the first step; not when a run is resumed")
    train_log_interval: int = key(100, "steps between log lines", low=1)
    tensorboard: bool = key(False, "also write the metrics for TensorBoard, into checkpoint_path/tensorboard")


@dataclass(frozen=True)
class EvaluationConfig:
    run_eval: bool = key(True, "evaluate during training")
    eval_start_epoch: int = key(0, "first epoch to evaluate in", low=0)
    eval_interval: int = key(1, "epochs between evaluations; after the last step there always is one", low=1)
    eval_interval_steps: int = key(0, "steps between evaluations; 0: eval_interval epochs", low=0)
    eval_loss: bool = key(False, "also measure the cross-entropy of the evaluated images, during training")
    early_stop: int = key(0, "end the run after so many evaluations in a row without a better mIoU; 0: never", low=0)
    eval_ckpt_path: str = path_key("", "weight file to evaluate")
    eval_output_path: str = path_key("./eval_result/", "folder for result.json")
    eval_split: str = key("val", "split to evaluate; test with save_submission needs no labels", choices=("train", "val", "test"))
    eval_log_interval: int = key(100, "images between log lines", low=1)
    eval_batch_size: int = key(1, "images of one size that the network labels together", low=1, high=65536)
    eval_mode: str = key(
        "whole",
        "the network gets whole images, sliding windows, or windows of the image at its own size; for infer too",
        choices=("whole", "slide", "native"),
    )
    eval_crop_size: tuple[int, int] = key((1024, 1024), "height, width of a sliding window", low=32, high=LONGEST_SIDE)
    eval_stride: tuple[int, int] = key((768, 768), "rows, columns from one sliding window to the next", low=1)
    eval_blend: str = key(
        "mean",
        "where windows overlap, all count alike, or each the more, the farther its border is; for infer too",
        choices=("mean", "feather"),
    )
    eval_scales: tuple[float, ...] = key(
        (1.0,), "scales of base_size whose class probabilities are averaged; for infer too", low=0.01, high=100
    )
    eval_size_divisor: int = key(
        1, "round the height and width that an image is resized to up to a multiple of this; for infer too", low=1, high=1024
    )
    eval_flip: bool = key(False, "average each scale with the mirrored image's probabilities; for infer too")
    report: str = path_key("", "folder for report.html, a page of figures and pictures; empty: none")
    save_submission: str = path_key("", "folder for labelIds PNGs and their zip file for the Cityscapes server; empty: none")


@dataclass(frozen=True)
class InferenceConfig:
    infer_ckpt_path: str = path_key("", "weight file for inference")
    infer_output_path: str = path_key("./infer_result/", "folder for the results")
    infer_copy_original_img: bool = key(True, "copy each image, but no video, to the results")
    infer_save_gray_img: bool = key(True, "save the class indices; those of a video as a lossless mkv")
    infer_save_color_img: bool = key(True, "save the classes' colours")
    infer_save_overlap_img: bool = key(True, "save the image under the classes' colours")
    infer_overlap_alpha: float = key(0.5, "share of the colours in it: 0 shows only the image, 1 only the colours", low=0, high=1)
    infer_overlap_outlines: bool = key(False, "draw the borders of the classes in it")
    infer_save_confidence_img: bool = key(
        False, "save each label's probability, 0..255 for 0..1; those of a video as a lossless mkv"
    )
    infer_threshold: float = key(
        0.0,
        "a label that is less probable becomes 255, ignored; of two classes: the least probability of class 1; 0: none",
        low=0,
        high=1,
    )
    infer_log_interval: int = key(100, "images, or frames of a video, between log lines", low=1)


@dataclass(frozen=True)
class ExportConfig:
    export_ckpt_path: str = path_key("", "weight file to export")
    export_format: str = key("auto", "auto: MINDIR or ONNX; WEB: page", choices=("auto", "MINDIR", "AIR", "ONNX", "TORCH", "WEB"))
    export_path: str = path_key("", "file or folder to write; empty: export_name with the format's ending, in this folder")
    export_name: str = key("", "the file's name without its ending; empty: the configuration file's")
    export_height: int = key(0, "height in pixels of the file's input images; 0: base_size's", low=0, high=LONGEST_SIDE)
    export_width: int = key(0, "width in pixels of the file's input images; 0: base_size's", low=0, high=LONGEST_SIDE)
    export_dynamic: bool = key(False, "let the file accept any number of images of any size from 32×32 (TORCH 64×64)")
    export_precision: str = key("fp32", "of matrix products, convolutions and weights", choices=("fp32", "fp16", "int8"))
    export_calibration_images: int = key(32, "images by which int8 learns the range of each value", low=1)
    export_calibration_path: str = path_key("", "folder of these images; empty: the training images of data_path")
    export_int8_loss: float = key(0.5, "points of mIoU that int8 may cost; without labels, half of the % that may change", 0, 100)
    export_output: str = key("auto", "auto: labels with export_preprocess, else logits", choices=("auto", "logits", "labels"))
    export_preprocess: bool = key(False, "let the file accept (N, H, W, C) uint8 images, C 3 for RGB, and normalise them itself")
    export_web_runtime: str = path_key("", "npm's archive of onnxruntime-web, for WEB; empty: fetched once from npm's registry")
    export_probe: str = key("none", "worst: say what is lost with every value in fp16, and in bf16", choices=("none", "worst"))
    export_force: bool = key(False, "replace an existing file; --force for short")


@dataclass(frozen=True)
class RuntimeConfig:
    device_target: str = key("auto", "device", choices=("auto", "CPU", "GPU", "CUDA", "Ascend"))
    device_id: int = key(-1, "number of the device, from 0; -1: the environment variable DEVICE_ID's, else 0", low=-1)
    run_distribute: bool = key(False, "refuse to run unless msrun, torchrun or a rank table started it on several devices")
    precision: str = key("auto", "precision of matrix products and convolutions; auto: by device", choices=("auto", *PRECISIONS))
    runtime: str = key(
        "auto",
        "what runs an exported ONNX file: onnxruntime or openvino; auto: onnxruntime for ONNX, the backend for other files",
        choices=("auto", *RUNTIMES),
    )
    execution_mode: str = key("graph", "MindSpore's execution mode", choices=("graph", "pynative"))
    compile: str = key(
        "auto",
        "PyTorch compiles the network that labels images: True at once, auto in fp32 on a CPU after 5000 million pixels of one "
        "shape (300 million with compile_cache), False never; MindSpore on a CPU calls kernels that a C++ compiler makes, once "
        "for this processor, unless it is False",
        choices=("auto", "True", "False"),
    )
    compile_cache: str = path_key(
        "",
        "folder that keeps what is compiled for later runs: MindSpore's training graph, or where nothing is trained that of the "
        "first image's size, its kernels, and PyTorch's network that labels images; empty: only the kernels are kept, elsewhere",
    )


@dataclass(frozen=True)
class Config:
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    inference: InferenceConfig = InferenceConfig()
    export: ExportConfig = ExportConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    from_files: frozenset[str] = field(default=frozenset(), compare=False)
    """The keys that a file has given, and not the command line."""
    given: frozenset[str] = field(default=frozenset(), compare=False)
    """The keys that a file or the command line has given; the others have their defaults."""


GROUPS: dict[str, type] = {group.name: type(group.default) for group in fields(Config) if is_dataclass(group.default)}
KEYS: dict[str, Field] = {item.name: item for group in GROUPS.values() for item in fields(group)}


def flat(config: Config) -> dict[str, Any]:
    """Every key and value, as a YAML file would hold them."""
    return {name: value for group in GROUPS for name, value in asdict(getattr(config, group)).items()}
