"""The JSON files beside the arrays of a folder, from which transformers and keras-hub build the network."""

import math
from collections.abc import Mapping
from typing import Any

from segformer_core.config.keys import DataConfig
from segformer_core.spec.model import HEADS, MLP_RATIO, PATCH_KERNELS, PATCH_STRIDES, SR_RATIOS
from segformer_core.weights.architecture import CLASSIFIER, Architecture, atoms
from segformer_core.weights.preprocessor import (
    KERAS_FILE,
    TRANSFORMERS_FILE,
    Preparation,
    keras_scale_and_offset,
    transformers_preprocessor,
)
from segformer_core.weights.stated import CONFIG, DEFAULT_LABEL, TASK_CONFIG, Stated

DROP_PATH = DROPOUT = 0.1
"""What further training with that code base starts from; no file of weights says what these were trained with."""
KERAS_VERSION, KERAS_HUB_VERSION = "3.15.1", "0.32.0"
"""The versions that opened such a folder, and gave our labels."""
KERAS_STEP = 32
"""Pixels: keras-hub takes images whose side is a multiple of it."""

Descriptions = Mapping[str, dict[str, Any]]
"""Name of a file -> its content."""


def transformers_files(architecture: Architecture, stated: Stated) -> Descriptions:
    """config.json, and preprocessor_config.json where mean and deviation of the network's channels are known."""
    files = {CONFIG: transformers_config(architecture, stated.classes)}
    if len((preparation := _preparation(stated)).mean) == architecture.in_channels:
        files[TRANSFORMERS_FILE] = transformers_preprocessor(preparation)
    return files


def transformers_config(architecture: Architecture, classes: tuple[str, ...] = ()) -> dict[str, Any]:
    """config.json of a transformers model: SegformerConfig's keys. Without names the classes are LABEL_0, LABEL_1, …"""
    head, classifier = architecture.class_count is not None, architecture.image_classes is not None
    model = "SegformerForSemanticSegmentation" if head else "SegformerForImageClassification" if classifier else "SegformerModel"
    count = architecture.class_count or architecture.image_classes or 0
    labels = classes or tuple(f"{DEFAULT_LABEL}{index}" for index in range(count))
    return {
        "architectures": [model],
        "model_type": "segformer",
        "num_channels": architecture.in_channels,
        "num_encoder_blocks": len(architecture.widths),
        "depths": list(architecture.depths),
        "hidden_sizes": list(architecture.widths),
        "num_attention_heads": list(HEADS),
        "sr_ratios": list(SR_RATIOS),
        "patch_sizes": list(PATCH_KERNELS),
        "strides": list(PATCH_STRIDES),
        "mlp_ratios": [MLP_RATIO] * len(architecture.widths),
        "hidden_act": "gelu",
        "drop_path_rate": DROP_PATH,
        "classifier_dropout_prob": DROPOUT,
        "reshape_last_stage": not classifier,
        "semantic_loss_ignore_index": 255,
        **({"decoder_hidden_size": architecture.decoder_width} if head else {}),
        **({"id2label": {str(index): name for index, name in enumerate(labels)}} if labels else {}),
        **({"label2id": {name: index for index, name in enumerate(labels)}} if labels else {}),
    }


def keras_files(architecture: Architecture, stated: Stated) -> Descriptions:
    """The five files that keras-hub's from_preset reads, in the form in which it writes them."""
    preparation = _preparation(stated)
    side = max(KERAS_STEP, min(preparation.size) // KERAS_STEP * KERAS_STEP)
    encoder = _keras_object(
        "mit.mit_backbone.MiTBackbone",
        layerwise_depths=list(architecture.depths),
        hidden_dims=list(architecture.widths),
        image_shape=[side, side, architecture.in_channels],
        num_layers=len(architecture.widths),
        layerwise_num_heads=list(HEADS),
        layerwise_sr_ratios=list(SR_RATIOS),
        max_drop_path_rate=DROP_PATH,
        layerwise_patch_sizes=list(PATCH_KERNELS),
        layerwise_strides=list(PATCH_STRIDES),
    )
    head = architecture.class_count is not None
    backbone = encoder
    if head:
        names = {"projection_filters": architecture.decoder_width, "image_encoder": encoder}
        backbone = _keras_object("segformer.segformer_backbone.SegFormerBackbone", **names)
    owner, kind, task = ("segformer.segformer", "SegFormer", "ImageSegmenter") if head else ("mit.mit", "MiT", "ImageClassifier")
    files = {
        CONFIG: backbone,
        "metadata.json": {
            "keras_version": KERAS_VERSION,
            "keras_hub_version": KERAS_HUB_VERSION,
            "parameter_count": _backbone_size(architecture),
            "tasks": [task],
        },
    }
    if not head and architecture.image_classes is None:
        return files
    preprocessor = None
    if architecture.in_channels == 3:
        files[KERAS_FILE] = converter = _keras_object(
            f"{owner}_image_converter.{kind}ImageConverter",
            image_size=[side, side],
            interpolation="bilinear",
            crop_to_aspect_ratio=True,
            **keras_scale_and_offset(preparation),
        )
        step = "segmenter" if head else "classifier"
        preprocessor = _keras_object(
            f"{owner}_image_{step}_preprocessor.{kind}{task}Preprocessor",
            image_converter=converter,
            config_file="preprocessor.json",
        )
        files["preprocessor.json"] = preprocessor
    count = architecture.class_count or architecture.image_classes
    step = "image_segmenter" if head else "image_classifier"
    parts = {"backbone": backbone, "preprocessor": preprocessor, "num_classes": count}
    files[TASK_CONFIG] = _keras_object(f"{owner}_{step}.{kind}{task}", **parts)
    return files


DESCRIBED = {"hf": transformers_files, "hf5": transformers_files, "keras_preset": keras_files}
"""Dialects that can be written as a folder -> what describes the network there."""


def _backbone_size(architecture: Architecture) -> int:
    """Numbers in the network without its last layer, which the task's file holds."""
    last = ("decode_head.linear_pred", CLASSIFIER)
    return sum(math.prod(atom.shape) for atom in atoms(architecture) if not atom.optional and atom.slot not in last)


def _keras_object(path: str, **config: object) -> dict[str, Any]:
    """A serialised object of keras-hub; `path` is its module below the models, and its class."""
    module, _, name = path.rpartition(".")
    return {
        "module": f"keras_hub.src.models.{module}",
        "class_name": name,
        "config": config,
        "registered_name": f"keras_hub>{name}",
    }


def _preparation(stated: Stated) -> Preparation:
    return stated.preparation or Preparation.of(DataConfig())
