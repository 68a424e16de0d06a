"""Folders for transformers and keras-hub: what describes the network and its images, and what of it is read back."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from parity_tests.support import hot_arrays
from parity_tests.training.test_damaged_checkpoints import SPEC, Weights
from parity_tests.weights.weight_files import foreign_arrays, saved, segmenter, weights_of
from segformer_core.commands.convert_model import main
from segformer_core.config.keys import DataConfig
from segformer_core.config.load import load_config
from segformer_core.data import cityscapes
from segformer_core.data.dataset import Classes
from segformer_core.errors import UserError
from segformer_core.spec.model import segformer
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.weights.architecture import Architecture
from segformer_core.weights.dialects import TRANSFORMERS_4
from segformer_core.weights.loading import load_pretrained, load_weights
from segformer_core.weights.reading import network_arrays, read
from segformer_core.weights.store import save_weights

TINY = Architecture((8, 16, 40, 64), (1, 1, 1, 1), 3, 16, 3)
NAMES = ("sky", "road", "a \"car\", 'red' é")
STATISTICS = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
RUN = {"base_size": [64, 96], "img_norm_mean": [123.675, 116.28, 103.53], "img_norm_std": [58.395, 57.12, 57.375]}


@pytest.fixture
def tiny(tmp_path) -> str:
    return weights_of(tmp_path, TINY).source


@pytest.fixture
def named(tmp_path) -> list[str]:
    described = tmp_path / "dataset.yaml"
    entries = [{"name": name, "colour": [index, 0, 0]} for index, name in enumerate(NAMES)]
    described.write_text(json.dumps({"classes": entries}))
    return ["--dataset_file", str(described)]


def content(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_transformers_folder_describes_images_and_classes(tiny, named, tmp_path):
    folder = tmp_path / "folder"
    main([tiny, str(folder), *named])
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors", "preprocessor_config.json"]
    config = content(folder / "config.json")
    assert config["id2label"] == dict(zip("012", NAMES, strict=True)) and config["label2id"]["road"] == 1
    preprocessor = content(folder / "preprocessor_config.json")
    for key, values in STATISTICS.items():
        assert preprocessor.pop(key) == pytest.approx(values, rel=1e-12)
    assert preprocessor == {
        "image_processor_type": "SegformerImageProcessor",
        "do_resize": True,
        "size": {"height": 512, "width": 1024},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "do_reduce_labels": False,
    }


def test_classes_without_names_are_numbered(tiny, tmp_path):
    main([tiny, str(tmp_path / "folder")])
    config = content(tmp_path / "folder" / "config.json")
    assert config["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    assert read(tmp_path / "folder").stated.classes == ()


def test_names_and_preparation_survive_every_way(tiny, named, tmp_path):
    """Folder, our own file, folder: the names, and a preparation that is not the usual one."""
    first, ours, again = tmp_path / "first", tmp_path / "ours.safetensors", tmp_path / "again"
    main([tiny, str(first), *named])
    other = content(first / "preprocessor_config.json") | {"image_mean": [0.5, 0.4, 0.3], "size": {"height": 64, "width": 32}}
    (first / "preprocessor_config.json").write_text(json.dumps(other))
    main([str(first), str(ours)])
    main([str(ours), str(again)])
    assert content(again / "config.json") == content(first / "config.json")
    got = content(again / "preprocessor_config.json")
    assert got.pop("image_mean") == pytest.approx(other.pop("image_mean"))
    assert got.pop("image_std") == pytest.approx(other.pop("image_std")) and got == other


@pytest.mark.parametrize("label", ["best", 1])
def test_a_runs_files_describe_the_folders_that_they_become(label, tmp_path):
    """The classes are the dataset's, mean, deviation and size the run's."""
    config = load_config(["--base_size=[64,96]", "--img_norm_mean=[10,20,30]", "--img_norm_std=[40,50,60]"])
    checkpoints = Checkpoints(str(tmp_path / "run"), SPEC, config, {}, Classes(("sky", "road", "car"), ((1, 2, 3),) * 3))
    if label == "best":
        checkpoints.save_if_best(Weights(0), 1, 0.5)
    else:
        checkpoints.save(Weights(0), label, 1)
    main([str(checkpoints.path(label)), str(tmp_path / "folder")])
    assert json.loads((tmp_path / "folder/config.json").read_text())["id2label"] == {"0": "sky", "1": "road", "2": "car"}
    preprocessor = json.loads((tmp_path / "folder/preprocessor_config.json").read_text())
    assert preprocessor["size"] == {"height": 64, "width": 96}
    assert np.allclose(preprocessor["image_mean"], np.array([10, 20, 30]) / 255)
    assert np.allclose(preprocessor["image_std"], np.array([40, 50, 60]) / 255)


def test_the_names_are_the_weights_own(tiny, named, tmp_path):
    with pytest.raises(UserError, match=r"cityscapes names 19 classes and .*random.safetensors has 3 classes; name its own"):
        main([tiny, str(tmp_path / "folder"), "--dataset_file", "cityscapes"])
    assert not (tmp_path / "folder").exists()
    street = weights_of(tmp_path, segmenter("b0")).source
    main([street, str(tmp_path / "folder"), "--dataset_file", "cityscapes"])
    assert tuple(content(tmp_path / "folder/config.json")["id2label"].values()) == cityscapes.CLASSES.names


def test_pipeline_of_transformers_gives_our_labels(tmp_path, need_torch):
    """`pipeline("image-segmentation", folder)`: its masks are the labels of our own inference."""
    from PIL import Image

    from backend_torch import load

    spec = segformer("b0", numerics="hf")
    metadata = {"config": json.dumps(RUN), "classes": json.dumps(cityscapes.CLASSES.names)}
    save_weights(tmp_path / "ours.safetensors", spec, hot_arrays(spec), **metadata)
    main([str(tmp_path / "ours.safetensors"), str(tmp_path / "folder")])
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    labels = load(str(tmp_path / "folder"), **RUN).segment(image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import pipeline

        found = pipeline("image-segmentation", str(tmp_path / "folder"))(Image.fromarray(image))
    got = np.full(labels.shape, 255, np.uint8)
    for item in found:
        got[np.asarray(item["mask"]) > 0] = cityscapes.CLASSES.names.index(item["label"])
    assert len(found) > 3 and np.array_equal(got, labels)


def test_other_statistics_than_the_runs_are_warned_of(tmp_path):
    spec = segformer("b0")
    path = tmp_path / "model.safetensors"
    saved(path, foreign_arrays(TRANSFORMERS_4, segmenter("b0")))
    stated = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stated))
    words = "preprocessor_config.json normalises images otherwise than this run; set --img_norm_mean [127.5,127.5,127.5] "
    data = DataConfig()
    assert words in load_weights(str(tmp_path), spec, data)[1]
    assert words in load_pretrained(str(path), spec, network_arrays(read(path)), data)[1]
    same = DataConfig(img_norm_mean=(127.5, 127.5, 127.5), img_norm_std=(127.5, 127.5, 127.5))
    assert "WARNING: that code" in load_weights(str(tmp_path), spec, same)[1]
    assert "otherwise" not in load_weights(str(tmp_path), spec, same)[1]


@pytest.mark.parametrize(
    ("ours", "label"),
    [
        (("road", "a_sky", "car"), None),
        (("A sky", "road", "car"), "label 0 is 'road' there and 'A sky' here"),
        (("road", "car", "a sky"), "label 1 is 'a sky' there and 'car' here"),
        (("street", "a sky", "car"), None),  # perhaps another word for the same
        ((), None),
    ],
)
def test_classes_in_another_order_are_warned_of(ours, label, tmp_path):
    saved(tmp_path / "model.safetensors", foreign_arrays(TRANSFORMERS_4, segmenter("b0", 3)))
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "road", "1": "a sky", "2": "car"}}))
    sentence = load_weights(str(tmp_path), segformer("b0", 3), class_names=ours)[1]
    assert ("in another order" in sentence) == (label is not None) and (label or "") in sentence


@pytest.mark.parametrize(
    "value", ["{", "[", '"x"', "[1, 2, 3]", '["a"]', "[" * 9999, '{"img_norm_mean": [1, 2, 3], "img_norm_std": 0}']
)
def test_metadata_that_is_not_understood_is_left_out(value, tiny, tmp_path):
    arrays = network_arrays(read(tiny))
    again = read(saved(tmp_path / "again.safetensors", arrays, {"classes": value, "config": value}))
    stated = again.stated
    assert (stated.classes, stated.colours, stated.preparation) == ((), (), None) and "img_norm_std" not in stated.recipe
    assert all(warning.startswith("not used: ") and len(warning) < 300 for warning in again.warnings)


def test_load_warns_of_other_statistics(tmp_path, need_torch):
    from backend_torch import load

    spec = segformer("b0")
    save_weights(tmp_path / "x.safetensors", spec, hot_arrays(spec), config=json.dumps(RUN | {"img_norm_mean": [1, 2, 3]}))
    with pytest.warns(UserWarning, match=r"its metadata normalises images otherwise than this run; set img_norm_mean \[1,2,3\]"):
        load(str(tmp_path / "x.safetensors"), **RUN)


STATED = {
    "transformers": ("preprocessor_config.json", STATISTICS, (123.675, 58.395)),
    "pixels as they are": ("preprocessor_config.json", {"do_rescale": False, "image_mean": 100, "image_std": [50]}, (100, 50)),
    "not normalised": ("preprocessor_config.json", {"do_normalize": False}, (0, 255)),
    "keras-hub": ("image_converter.json", {"config": {"scale": [[[[0.02]]]], "offset": -2}}, (100, 50)),
    "keras-hub, nothing": ("image_converter.json", {"config": {"scale": None}}, (0, 1)),
}


@pytest.mark.parametrize("case", STATED)
def test_every_form_of_statistics_is_read(case, tmp_path):
    name, stated, red = STATED[case]
    saved(tmp_path / "model.safetensors", foreign_arrays(TRANSFORMERS_4, TINY))
    (tmp_path / name).write_text(json.dumps(stated))
    weights = read(tmp_path)
    got = weights.stated.preparation
    assert (got.mean[0], got.std[0]) == pytest.approx(red) and len(got.mean) == len(got.std) == 3 and weights.warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"image_mean": "x"}',
        '{"image_mean": [1, 2], "image_std": 9}',
        '{"image_mean": 1, "image_std": [0, 0, 0]}',
    ],
)
def test_statistics_that_are_not_understood_cost_a_warning(text, tmp_path):
    saved(tmp_path / "model.safetensors", foreign_arrays(TRANSFORMERS_4, TINY))
    (tmp_path / "preprocessor_config.json").write_text(text)
    weights = read(tmp_path)
    assert weights.stated.preparation is None and len(weights.warnings) == 1
    assert "preprocessor_config.json" in weights.warnings[0] and "\n" not in weights.warnings[0]


ODD = [None, True, -1, 1e308, "x", [], {}, [[]], [None] * 4, {"0": {}}, [1, 2, 5, 8.5]]


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "task.json", "image_converter.json"])
def test_no_value_ends_in_a_traceback(name, tmp_path):
    """Each value of each file, one after the other, is replaced by values of other types: 11 for each key."""
    from segformer_core.weights.descriptions import keras_files, transformers_files
    from segformer_core.weights.stated import Stated, stated_of

    keras = name in ("task.json", "image_converter.json")
    described = (keras_files if keras else transformers_files)(TINY, Stated(NAMES))
    for other, value in described.items():
        (tmp_path / other).write_text(json.dumps(value))
    tried = 0
    for node, key in list(places(described[name])):
        kept = node[key]
        for odd in ODD:
            node[key] = odd
            (tmp_path / name).write_text(json.dumps(described[name]))
            tried += 1
            try:
                stated_of(tmp_path, "keras_preset" if keras else "hf", TINY, {})
            except UserError as error:
                assert "\n" not in str(error) and len(str(error)) < 1200
        node[key] = kept
    print(f"{name}: {tried} mutations")
    assert tried >= 100


def places(node: object):
    """(container, key) of every value below `node`."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()):
        yield node, key
        yield from places(value)
