"""`--to keras_preset`: the files from which keras-hub builds the network, in the form that keras-hub 0.32 asks for.

Opened by it (`from_preset`, `training=False`, Keras 3.15.1 with torch), B0 with our test weights gave our logits to 1.5e-6 and
every label of a 64×64 image. The suite does not need keras-hub.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from parity_tests.weights.weight_files import architecture, assert_equal_arrays, segmenter, weights_of
from segformer_core.weights.architecture import Architecture
from segformer_core.weights.preprocessor import Preparation
from segformer_core.weights.reading import Weights, read
from segformer_core.weights.stated import Stated
from segformer_core.weights.writing import plan_writing, write

SQUARE = Preparation((64, 64), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
MIT_B0 = {
    "module": "keras_hub.src.models.mit.mit_backbone",
    "class_name": "MiTBackbone",
    "config": {
        "layerwise_depths": [2, 2, 2, 2],
        "hidden_dims": [32, 64, 160, 256],
        "image_shape": [64, 64, 3],
        "num_layers": 4,
        "layerwise_num_heads": [1, 2, 5, 8],
        "layerwise_sr_ratios": [8, 4, 2, 1],
        "max_drop_path_rate": 0.1,
        "layerwise_patch_sizes": [7, 3, 3, 3],
        "layerwise_strides": [4, 2, 2, 2],
    },
    "registered_name": "keras_hub>MiTBackbone",
}
SEGFORMER_B0 = {
    "module": "keras_hub.src.models.segformer.segformer_backbone",
    "class_name": "SegFormerBackbone",
    "config": {"projection_filters": 256, "image_encoder": MIT_B0},
    "registered_name": "keras_hub>SegFormerBackbone",
}


def written(weights: Weights, folder: Path, **options: bool) -> dict[str, dict]:
    """The JSON files of the preset."""
    weights = replace(weights, stated=Stated(preparation=SQUARE))
    write(weights, folder, plan_writing(weights, folder, "keras_preset", **options))
    return {file.name: json.loads(file.read_text()) for file in folder.glob("*.json")}


def test_a_segmenter(tmp_path):
    weights = weights_of(tmp_path, segmenter("b0"))
    files = written(weights, tmp_path / "preset")
    names = {"config.json", "image_converter.json", "metadata.json", "preprocessor.json", "task.json"}
    assert {file.name for file in (tmp_path / "preset").iterdir()} == names | {"model.weights.h5", "task.weights.h5"}
    assert files["config.json"] == SEGFORMER_B0
    assert files["metadata.json"] == {
        "keras_version": "3.15.1",
        "keras_hub_version": "0.32.0",
        "parameter_count": 3714656,  # as keras-hub counts
        "tasks": ["ImageSegmenter"],
    }
    converter = files["image_converter.json"]
    assert converter["class_name"] == "SegFormerImageConverter" and converter["config"]["image_size"] == [64, 64]
    assert converter["config"]["scale"] == pytest.approx([1 / 58.395, 1 / 57.12, 1 / 57.375])
    assert converter["config"]["offset"] == pytest.approx([-123.675 / 58.395, -116.28 / 57.12, -103.53 / 57.375])
    preprocessor = files["preprocessor.json"]
    assert preprocessor["registered_name"] == "keras_hub>SegFormerImageSegmenterPreprocessor"
    assert preprocessor["config"] == {"image_converter": converter, "config_file": "preprocessor.json"}
    assert files["task.json"] == {
        "module": "keras_hub.src.models.segformer.segformer_image_segmenter",
        "class_name": "SegFormerImageSegmenter",
        "config": {"backbone": SEGFORMER_B0, "preprocessor": preprocessor, "num_classes": 19},
        "registered_name": "keras_hub>SegFormerImageSegmenter",
    }
    again = read(tmp_path / "preset")
    assert again.warnings == () and again.stated.preparation.normalises_like(SQUARE)
    assert_equal_arrays({name: array for name, array in weights.atoms.items() if "tracked" not in name}, again.atoms)


def test_an_image_classifier_and_an_encoder(tmp_path):
    weights = weights_of(tmp_path, architecture("b0", image_classes=10))
    files = written(weights, tmp_path / "preset")
    assert files["config.json"] == MIT_B0 and files["metadata.json"]["parameter_count"] == 3319392
    task = files["task.json"]
    assert task["module"] == "keras_hub.src.models.mit.mit_image_classifier" and task["class_name"] == "MiTImageClassifier"
    assert task["config"] == {"backbone": MIT_B0, "preprocessor": files["preprocessor.json"], "num_classes": 10}
    assert files["preprocessor.json"]["class_name"] == "MiTImageClassifierPreprocessor"
    assert files["image_converter.json"]["class_name"] == "MiTImageConverter"
    files = written(weights, tmp_path / "encoder", drop_head=True)
    assert set(files) == {"config.json", "metadata.json"} and files["config.json"] == MIT_B0


def test_the_image_is_square_and_a_multiple_of_32(tmp_path):
    weights = weights_of(tmp_path, Architecture((8, 16, 40, 64), (1, 1, 1, 1), 4, 16, 3))
    for size, side in (((512, 1024), 512), ((100, 90), 64), ((20, 20), 32)):
        stated = Stated(preparation=replace(SQUARE, size=size))
        described = plan_writing(replace(weights, stated=stated), tmp_path / "x", "keras_preset").descriptions
        assert described["config.json"]["config"]["image_encoder"]["config"]["image_shape"] == [side, side, 4]
        assert "image_converter.json" not in described  # its statistics are of RGB
        assert described["task.json"]["config"]["preprocessor"] is None
