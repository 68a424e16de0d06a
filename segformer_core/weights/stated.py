"""What config.json states of the network beside it: with other head counts the same arrays are another function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segformer_core.errors import WeightsError, brief
from segformer_core.spec.model import HEADS, MLP_RATIO, PATCH_KERNELS, PATCH_STRIDES, SR_RATIOS
from segformer_core.weights.architecture import Architecture
from segformer_core.weights.containers.json_file import is_there, parsed, read_object
from segformer_core.weights.containers.tree import printable
from segformer_core.weights.preprocessor import preparation_beside
from segformer_core.weights.remembered import Stated, described_by

CONFIG, TASK_CONFIG = "config.json", "task.json"
STATED_FOR = ("hf", "hf5", "tf", "keras", "keras_preset")
"""Dialects whose code base describes a network in a config.json. Beside other weights the file is someone else's."""

DEFAULT_LABEL = "LABEL_"
"""How transformers names classes that have no name."""


@dataclass(frozen=True)
class Form:
    """How one code base states a network.

    computed   key -> the values with which this project computes the same
    of_arrays  key -> the value that the arrays have; None if they have none, as without a decode head
    harmless   keys, divided by spaces, that do not change what a trained network computes
    """

    computed: Mapping[str, tuple[object, ...]]
    of_arrays: Mapping[str, Callable[[Architecture], object]]
    harmless: str


TASKS = ("Model", "ForSemanticSegmentation", "ForImageClassification")
MODELS = (*(f"{kind}Segformer{task}" for kind in ("", "TF") for task in TASKS), "GLPNModel", "GLPNForDepthEstimation")

TRANSFORMERS = Form(
    computed={
        "model_type": ("segformer", "glpn"),  # GLPN's encoder is SegFormer's; its head has other names and is not read
        "num_encoder_blocks": (4,),
        "num_attention_heads": (list(HEADS),),
        "sr_ratios": (list(SR_RATIOS),),
        "patch_sizes": (list(PATCH_KERNELS),),
        "strides": (list(PATCH_STRIDES),),
        "mlp_ratios": ([MLP_RATIO] * 4,),
        "hidden_act": ("gelu", "gelu_python"),  # both by erf
        "pruned_heads": ({}, None),
        "quantization_config": ({}, None),
    },
    of_arrays={
        "depths": lambda network: list(network.depths),
        "hidden_sizes": lambda network: list(network.widths),
        "num_channels": lambda network: network.in_channels,
        "decoder_hidden_size": lambda network: network.decoder_width,
        "num_labels": lambda network: network.class_count or network.image_classes,
    },
    harmless=(
        # no code reads these: the LayerNorms of transformers 4 and 5 have PyTorch's eps, 1e-5, whatever layer_norm_eps says
        "layer_norm_eps downsampling_rates image_size "
        # training only
        "hidden_dropout_prob attention_probs_dropout_prob classifier_dropout_prob drop_path_rate initializer_range "
        "semantic_loss_ignore_index problem_type finetuning_task task_specific_params "
        # names, versions, and how an answer is packed
        "architectures auto_map id2label label2id transformers_version torch_dtype dtype _name_or_path _commit_hash "
        "_attn_implementation_autoset return_dict use_return_dict output_hidden_states output_attentions torchscript "
        "use_bfloat16 feature_extractor_type reshape_last_stage "
        # GLPN's head, which is not read
        "max_depth head_in_index "
        # parts of every configuration of transformers that SegFormer has no use for
        "is_decoder is_encoder_decoder add_cross_attention cross_attention_hidden_size tie_encoder_decoder "
        "tie_word_embeddings chunk_size_feed_forward tokenizer_class prefix bos_token_id pad_token_id eos_token_id "
        "sep_token_id decoder_start_token_id max_length min_length do_sample early_stopping num_beams num_beam_groups "
        "diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size "
        "encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate "
        "forced_bos_token_id forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens "
        "begin_suppress_tokens tf_legacy_loss"
    ),
)

KERAS_CLASSES = ("MiTBackbone", "SegFormerBackbone", "SegFormerImageSegmenter", "MiTImageClassifier")
KERAS_CONTAINERS = ("Functional", "Sequential")
"""Keras' own classes, whose layers may be those above."""

KERAS = Form(
    computed={
        "num_layers": (4,),
        **dict.fromkeys(("layerwise_num_heads", "blockwise_num_heads"), (list(HEADS),)),
        **dict.fromkeys(("layerwise_sr_ratios", "blockwise_sr_ratios"), (list(SR_RATIOS),)),
        **dict.fromkeys(("layerwise_patch_sizes", "patch_sizes"), (list(PATCH_KERNELS),)),
        **dict.fromkeys(("layerwise_strides", "strides"), (list(PATCH_STRIDES),)),
    },
    of_arrays={
        **dict.fromkeys(("layerwise_depths", "depths"), lambda network: list(network.depths)),
        "hidden_dims": lambda network: list(network.widths),
        "projection_filters": lambda network: network.decoder_width,
        "num_classes": lambda network: network.class_count or network.image_classes,
        "channels": lambda network: network.in_channels,
    },
    harmless=(
        "name trainable dtype image_shape max_drop_path_rate image_encoder backbone preprocessor pooling activation "
        "dropout"  # pooling and activation are the image classifier's, which is not computed here
    ),
)


def stated_of(path: Path, dialect: str, network: Architecture, metadata: Mapping[str, str]) -> Stated:
    """What is stated of the arrays in `path`: by our own files' metadata, or in the folder by the files of other code bases.

    An archive that holds a config.json of its own has that text in its metadata, under this name. Raises WeightsError that names
    each key by which it describes another network.
    """
    if dialect not in STATED_FOR:
        return described_by(metadata, network.class_count)
    if CONFIG in metadata:
        config = parsed(metadata[CONFIG].encode(), f"{path}/{CONFIG}")
        return Stated(warnings=tuple(_keras(config, network, path)[1]))
    folder = path if path.is_dir() else path.parent
    preparation, faults = preparation_beside(folder, network.in_channels)
    if not is_there(folder / CONFIG):
        return Stated((), preparation, faults)
    config = read_object(folder / CONFIG)
    classes, warnings = (_keras if "class_name" in config else _transformers)(config, network, folder)
    return Stated(classes, preparation, (*warnings, *faults))


def _keras(config: Mapping[str, Any], network: Architecture, folder: Path) -> tuple[tuple[str, ...], list[str]]:
    keys = _keras_keys(config, folder / CONFIG)
    if is_there(folder / TASK_CONFIG):
        keys |= _keras_keys(read_object(folder / TASK_CONFIG), folder / TASK_CONFIG)
    return (), _compared(KERAS, keys, network, folder)


def _transformers(config: Mapping[str, Any], network: Architecture, folder: Path) -> tuple[tuple[str, ...], list[str]]:
    classes, count = _labels(config, folder / CONFIG)
    warnings = _compared(TRANSFORMERS, config if count is None else {**config, "num_labels": count}, network, folder)
    if config.get("reshape_last_stage") is False and network.class_count is not None:
        warnings.append(
            f"{folder / CONFIG} states reshape_last_stage False: with it transformers takes every image for a square one, "
            "this project does not"
        )
    models = config.get("architectures")
    own = [name for name in models if name not in MODELS] if isinstance(models, list) else []
    if own or config.get("auto_map"):
        what = f"the model {brief(own[0])}" if own else "code of its own (auto_map)"
        warnings.append(f"{folder / CONFIG} names {what}; here the arrays are computed as transformers' SegFormer")
    return (classes if len(classes) == network.class_count else ()), warnings


def _compared(form: Form, keys: Mapping[str, Any], network: Architecture, folder: Path) -> list[str]:
    """Warnings. Raises WeightsError."""
    of_arrays = {name: have for name, value in form.of_arrays.items() if (have := value(network)) is not None}
    wrong = [name for name, have in of_arrays.items() if name in keys and keys[name] != have]
    if wrong:
        stated, held = (", ".join(f"{name} {brief(source[name])}" for name in wrong) for source in (keys, of_arrays))
        raise WeightsError(
            f"{folder / CONFIG} states {stated}; the arrays beside it have {held}: put the {CONFIG} there that belongs to them"
        )
    wrong = [name for name, values in form.computed.items() if name in keys and keys[name] not in values]
    if wrong:
        stated = ", ".join(f"{name} {brief(keys[name])}" for name in wrong)
        computed = ", ".join(f"{name} {brief(form.computed[name][0])}" for name in wrong)
        raise WeightsError(
            f"{folder / CONFIG} states {stated}; this project computes {computed} alone, and the same arrays would be another "
            "function: choose other weights"
        )
    unknown = sorted(keys.keys() - form.computed.keys() - form.of_arrays.keys() - set(form.harmless.split()))
    if not unknown:
        return []
    names = ", ".join(brief(name) for name in unknown[:3]) + (", …" if len(unknown) > 3 else "")
    return [f"{folder / CONFIG} states {names}, unknown here: make sure that the network is the same without"]


def _labels(config: Mapping[str, Any], path: Path) -> tuple[tuple[str, ...], int | None]:
    """The names of the classes in the order of their indices, empty if some have none; and their number, if stated."""
    labels = config.get("id2label")
    if labels is None:
        return (), None
    if not isinstance(labels, dict):
        raise WeightsError(f"{path} states id2label {brief(labels)}; expected an object of class index and name")
    stated = [labels.get(str(index)) for index in range(len(labels))]
    names = tuple(printable(name) for name in stated if isinstance(name, str) and name)
    named = len(names) == len(set(names)) == len(labels)
    default = all(name == f"{DEFAULT_LABEL}{index}" for index, name in enumerate(names))
    return (() if default or not named else names), len(labels)


def _keras_keys(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The keys of every known class in a serialised Keras object, whose layers lie in one another."""
    keys: dict[str, Any] = {}
    objects: list[Any] = [config]
    while objects:
        item = objects.pop()
        inner = item.get("config") if isinstance(item, dict) else None
        if not isinstance(inner, dict):
            continue
        if item.get("class_name") not in (*KERAS_CLASSES, *KERAS_CONTAINERS) and item is config:
            raise WeightsError(
                f"{path} states class_name {brief(item.get('class_name'))}; expected one of {', '.join(KERAS_CLASSES)}: "
                f"put the {path.name} there that belongs to the weights"
            )
        if item.get("class_name") in KERAS_CLASSES:
            keys |= inner
            objects += [inner.get("image_encoder"), inner.get("backbone")]
        elif item.get("class_name") in KERAS_CONTAINERS and isinstance(inner.get("layers"), list):
            objects += inner["layers"]
    shape = keys.get("image_shape")
    return keys | ({"channels": shape[-1]} if isinstance(shape, list) and shape else {})
