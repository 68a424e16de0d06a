"""config.json beside the arrays: what it states is compared with what is computed here."""

import copy
import json
import os
from pathlib import Path

import pytest

from parity_tests.weights.weight_files import foreign_arrays, saved
from segformer_core.errors import WeightsError
from segformer_core.weights.architecture import Architecture
from segformer_core.weights.containers import hdf5_file, json_file
from segformer_core.weights.dialects import NVLABS, TRANSFORMERS_4, TRANSFORMERS_4_BASE
from segformer_core.weights.dialects.keras import KERAS_PRESET, KERAS_SEGMENTER, TASK
from segformer_core.weights.reading import read
from segformer_core.weights.stated import stated_of

TINY = Architecture((8, 16, 40, 64), (1, 1, 1, 1), 3, 16, 5)
CONFIG = {
    "architectures": ["SegformerForSemanticSegmentation"],
    "model_type": "segformer",
    "num_channels": 3,
    "num_encoder_blocks": 4,
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 16, 40, 64],
    "num_attention_heads": [1, 2, 5, 8],
    "sr_ratios": [8, 4, 2, 1],
    "patch_sizes": [7, 3, 3, 3],
    "strides": [4, 2, 2, 2],
    "mlp_ratios": [4, 4, 4, 4],
    "hidden_act": "gelu",
    "decoder_hidden_size": 16,
    "layer_norm_eps": 1e-6,  # nobody reads it
    "downsampling_rates": [1, 4, 8, 16],
    "drop_path_rate": 0.1,
    "id2label": {str(index): f"LABEL_{index}" for index in range(5)},
}

ANOTHER_FUNCTION = {
    "num_attention_heads": ([2, 4, 8, 8], "[1, 2, 5, 8]"),
    "hidden_act": ("relu", "'gelu'"),
    "strides": ([2, 2, 2, 2], "[4, 2, 2, 2]"),
    "patch_sizes": ([7, 5, 5, 5], "[7, 3, 3, 3]"),
    "sr_ratios": ([4, 4, 2, 1], "[8, 4, 2, 1]"),
    "mlp_ratios": ([8, 8, 4, 4], "[4, 4, 4, 4]"),
    "num_encoder_blocks": (3, "4"),
    "model_type": ("pvt_v2", "'segformer'"),
    "pruned_heads": ({"0": [1]}, "{}"),
    "quantization_config": ({"load_in_8bit": True}, "{}"),
}
OTHER_ARRAYS = {
    "depths": ([2, 2, 2, 2], "[1, 1, 1, 1]"),
    "hidden_sizes": ([32, 64, 160, 256], "[8, 16, 40, 64]"),
    "num_channels": (4, "3"),
    "decoder_hidden_size": (256, "16"),
    "num_labels": (6, "5"),
}


def folder_of(tmp_path: Path, config: object = CONFIG, dialect=TRANSFORMERS_4, network: Architecture = TINY) -> Path:
    saved(tmp_path / "model.safetensors", foreign_arrays(dialect, network))
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize("named", ["folder", "file"])
@pytest.mark.parametrize("key", ANOTHER_FUNCTION)
def test_another_function_is_refused_by_name(key, named, tmp_path):
    value, computed = ANOTHER_FUNCTION[key]
    folder = folder_of(tmp_path, CONFIG | {key: value})
    with pytest.raises(WeightsError) as caught:
        read(folder if named == "folder" else folder / "model.safetensors")
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path / 'config.json'} states {key} {value!r}; this project computes {key} {computed} alone")


@pytest.mark.parametrize("key", OTHER_ARRAYS)
def test_a_description_of_other_arrays_is_refused(key, tmp_path):
    value, held = OTHER_ARRAYS[key]
    config = {name: stated for name, stated in CONFIG.items() if name != "id2label"} | {key: value}
    with pytest.raises(WeightsError) as caught:
        read(folder_of(tmp_path, config))
    assert f"states {key} {value!r}; the arrays beside it have {key} {held}: put the config.json there" in str(caught.value)


def test_every_key_that_differs_is_named(tmp_path):
    folder = folder_of(tmp_path, CONFIG | {"hidden_act": "relu", "strides": [4, 4, 2, 2]})
    with pytest.raises(
        WeightsError, match=r"states strides \[4, 4, 2, 2\], hidden_act 'relu'; .* strides \[4, 2, 2, 2\], hidden_act"
    ):
        read(folder)


def test_labels_count_as_the_number_of_classes(tmp_path):
    labels = {str(index): f"name {index}" for index in range(6)}
    with pytest.raises(WeightsError, match="states num_labels 6; the arrays beside it have num_labels 5"):
        read(folder_of(tmp_path, CONFIG | {"id2label": labels, "num_labels": 5}))
    del labels["5"]
    assert read(folder_of(tmp_path, CONFIG | {"id2label": labels})).stated.classes == tuple(labels.values())
    for broken in ({"0": 1, "1": "b", "2": "c", "3": "d", "4": "e"}, {**labels, "4": "name 0"}):  # no names for all
        assert read(folder_of(tmp_path, CONFIG | {"id2label": broken})).stated.classes == ()
    with pytest.raises(WeightsError, match="states id2label 'road'; expected an object"):
        read(folder_of(tmp_path, CONFIG | {"id2label": "road"}))


def test_a_network_that_is_computed_here_is_read_without_a_word(tmp_path):
    assert read(folder_of(tmp_path)).warnings == () and read(tmp_path).stated.classes == ()
    assert read(folder_of(tmp_path, {"hidden_act": "gelu_python", "hidden_sizes": [8, 16, 40, 64]})).warnings == ()
    encoder = Architecture(TINY.widths, TINY.depths, 3)
    glpn = CONFIG | {
        "model_type": "glpn",
        "architectures": ["GLPNForDepthEstimation"],
        "decoder_hidden_size": 64,
        "max_depth": 10,
    }
    assert read(folder_of(tmp_path, glpn, TRANSFORMERS_4_BASE, encoder)).warnings == ()


WARNINGS = {
    "a key of tomorrow": (
        {"use_rotary": True},
        "states 'use_rotary', unknown here: make sure that the network is the same without",
    ),
    "another class": ({"architectures": ["DepthSegformer"]}, "names the model 'DepthSegformer'; here the arrays are computed"),
    "code of its own": ({"auto_map": {"AutoModel": "x.Y"}}, "names code of its own (auto_map); here the arrays are computed"),
    "square images": ({"reshape_last_stage": False}, "states reshape_last_stage False: with it transformers takes every image"),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_what_may_be_another_function_is_warned_of(case, tmp_path):
    keys, words = WARNINGS[case]
    (warning,) = read(folder_of(tmp_path, CONFIG | keys)).warnings
    assert warning.startswith(f"{tmp_path / 'config.json'} {words}")


def test_another_programs_config_is_not_taken_for_a_description(tmp_path):
    """Beside a file of NVlabs' names, config.json is somebody's own."""
    folder_of(tmp_path, {"model_type": "bert", "lr": 1e-4}, NVLABS)
    assert read(tmp_path / "model.safetensors").warnings == ()


UNREADABLE = {
    "damaged": (b'{"depths": [2, 2', "is damaged or no JSON"),
    "no text": (b"\xff\xfe\xff", "is damaged or no JSON"),
    "deep": (b"[" * 100_000, "is damaged or no JSON"),
    "a long integer": (b'{"depths": ' + b"9" * 5000 + b"}", "is damaged or no JSON"),
    "a list": (b"[]", "holds a list; expected a JSON object"),
    "huge": (b" " * 2000, "has more than"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_unreadable_description_is_one_sentence(case, tmp_path, monkeypatch):
    content, words = UNREADABLE[case]
    if case == "huge":
        monkeypatch.setattr(json_file, "LONGEST_TEXT", 1999)
    folder_of(tmp_path)
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'} {words}") and "\n" not in str(caught.value)


def test_only_regular_files_are_opened(tmp_path):
    folder_of(tmp_path)
    config = tmp_path / "config.json"
    for make, words in (
        (os.mkfifo, "is a named pipe"),
        (os.mkdir, "is a folder"),
        (lambda at: os.symlink("x", at), "cannot be read"),
    ):
        config.rmdir() if config.is_dir() else config.unlink()
        make(config)
        with pytest.raises(WeightsError, match=f"config.json {words}"):
            read(tmp_path)


def keras_object(name: str, **config: object) -> dict:
    return {"module": "keras_hub", "class_name": name, "config": config, "registered_name": f"keras_hub>{name}"}


MIT = {
    "layerwise_depths": [1, 1, 1, 1],
    "hidden_dims": [8, 16, 40, 64],
    "image_shape": [96, 96, 3],
    "num_layers": 4,
    "layerwise_num_heads": [1, 2, 5, 8],
    "layerwise_sr_ratios": [8, 4, 2, 1],
    "max_drop_path_rate": 0.1,
    "layerwise_patch_sizes": [7, 3, 3, 3],
    "layerwise_strides": [4, 2, 2, 2],
}
BACKBONE = keras_object("SegFormerBackbone", projection_filters=16, image_encoder=keras_object("MiTBackbone", **MIT))
SEGMENTER = keras_object("SegFormerImageSegmenter", num_classes=5, backbone=BACKBONE)

KERAS_MISTAKES = {
    "heads": ({"layerwise_num_heads": [2, 4, 8, 8]}, {}, "states layerwise_num_heads [2, 4, 8, 8]; this project computes"),
    "heads, by an early keras-hub": ({"blockwise_num_heads": [1, 1, 1, 1]}, {}, "states blockwise_num_heads [1, 1, 1, 1]; this"),
    "reduction": ({"layerwise_sr_ratios": [1, 1, 1, 1]}, {}, "states layerwise_sr_ratios"),
    "strides": ({"layerwise_strides": [4, 2, 2, 1]}, {}, "states layerwise_strides"),
    "widths": ({"hidden_dims": [1, 2, 3, 4]}, {}, "the arrays beside it have hidden_dims [8, 16, 40, 64]"),
    "depths": ({"layerwise_depths": [2, 2, 2, 2]}, {}, "the arrays beside it have layerwise_depths [1, 1, 1, 1]"),
    "channels": ({"image_shape": [96, 96, 4]}, {}, "states channels 4; the arrays beside it have channels 3"),
    "classes": ({}, {"num_classes": 7}, "states num_classes 7; the arrays beside it have num_classes 5"),
}


def keras_folder(tmp_path: Path, encoder: dict, task: dict) -> Path:
    config, whole = copy.deepcopy(BACKBONE), copy.deepcopy(SEGMENTER)
    config["config"]["image_encoder"]["config"] |= encoder
    whole["config"] |= {"backbone": config, **task}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "task.json").write_text(json.dumps(whole))
    return tmp_path


@pytest.mark.parametrize("mistake", KERAS_MISTAKES)
def test_a_keras_preset_of_another_network_is_refused(mistake, tmp_path):
    encoder, task, words = KERAS_MISTAKES[mistake]
    with pytest.raises(WeightsError) as caught:
        stated_of(keras_folder(tmp_path, encoder, task), "keras_preset", TINY, {})
    assert words in str(caught.value)


@pytest.mark.parametrize("container", ["", "Functional", "Sequential"])
def test_an_archives_own_config_is_compared(container, tmp_path):
    """It comes with the arrays, as metadata; keras' containers hold the network among their layers."""
    whole = copy.deepcopy(SEGMENTER)
    wrapped = keras_object(container, layers=[keras_object("InputLayer"), whole, 3]) if container else whole
    archive = tmp_path / "x.keras"
    assert stated_of(archive, "keras", TINY, {"config.json": json.dumps(wrapped)}).warnings == ()
    whole["config"]["backbone"]["config"]["image_encoder"]["config"]["layerwise_num_heads"] = [1, 1, 1, 1]
    with pytest.raises(
        WeightsError, match=r"x.keras/config.json states layerwise_num_heads \[1, 1, 1, 1\]; this project computes"
    ):
        stated_of(archive, "keras", TINY, {"config.json": json.dumps(wrapped)})
    with pytest.raises(WeightsError, match=r"x.keras/config.json is damaged or no JSON"):
        stated_of(archive, "keras", TINY, {"config.json": "{"})


def test_a_keras_preset_of_this_network_is_read(tmp_path):
    arrays = foreign_arrays(KERAS_PRESET, TINY)
    parts = {"model": {}, "task": {}}
    for name, array in arrays.items():
        parts["task" if name.startswith(TASK) else "model"][name.removeprefix(TASK)] = array
    for part, held in parts.items():
        hdf5_file.write(tmp_path / f"{part}.weights.h5", held, "float32")
    assert read(keras_folder(tmp_path, {}, {})).warnings == ()
    assert "'attention' " in read(keras_folder(tmp_path, {"attention": "linear"}, {})).warnings[0].replace(",", " ")
    (tmp_path / "config.json").write_text(json.dumps(keras_object("ResNetBackbone")))
    with pytest.raises(WeightsError, match="states class_name 'ResNetBackbone'; expected one of MiTBackbone"):
        read(tmp_path)
    hdf5_file.write(tmp_path / "whole.h5", foreign_arrays(KERAS_SEGMENTER, TINY), "float32")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(WeightsError, match="config.json holds a list"):
        read(tmp_path / "whole.h5")
