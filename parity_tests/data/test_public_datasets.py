"""The data sets that configs/datasets/ describes: files as each of them stores its own, read with its description and recipe."""

from pathlib import Path

import numpy as np
import pytest

from parity_tests.data.public_datasets import CONVENTIONS, stored_label, write_dataset
from segformer_core.config.keys import Config
from segformer_core.config.load import load_config
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.data.classes import Classes
from segformer_core.data.colours import voc_colour
from segformer_core.data.dataset import read_label, read_pair
from segformer_core.data.description import read_classes
from segformer_core.data.layout import find_layout, open_dataset
from segformer_core.data.transforms import augment, fitted_size
from segformer_core.errors import DataError

RECIPES = {recipe: name for name, convention in CONVENTIONS.items() for recipe in convention.recipes}


def description(name: str) -> str:
    return f"configs/datasets/{name}.yaml"


def classes_of(name: str) -> Classes:
    return read_classes(Path(description(name)))


def recipe_config(recipe: str) -> Config:
    return load_config(["--config_path", f"configs/{recipe}"])


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_classes(name: str) -> None:
    convention, classes = CONVENTIONS[name], classes_of(name)
    assert len(classes) == convention.count
    assert {index: classes.names[index] for index in convention.names} == convention.names


@pytest.mark.parametrize("name", CONVENTIONS)
def test_files_as_the_data_set_stores_them_are_read(tmp_path: Path, name: str) -> None:
    convention = CONVENTIONS[name]
    root = write_dataset(tmp_path, convention)
    stored = stored_label(convention, (4, 6))
    assert set(stored.ravel()) == set(convention.stored)
    wanted = np.vectorize(convention.stored.get)(stored)
    for split, pairs in convention.splits.items():
        assert find_layout(root, split, description(name)), "infer takes it for a data set"
        dataset = open_dataset(str(root), split, description(name))
        assert [(item.image, item.label) for item in dataset.items] == [(root / image, root / label) for image, label in pairs]
        for item in dataset.items:
            image, label = read_pair(item, dataset.classes)
            assert image.shape == (4, 6, 3) and np.array_equal(label, wanted)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_value_that_is_not_the_data_sets_is_refused(tmp_path: Path, name: str) -> None:
    convention = CONVENTIONS[name]
    root = write_dataset(tmp_path, convention)
    path = root / convention.splits["train"][0][1]
    label = stored_label(convention, (4, 6))
    label[2, 3] = convention.unknown
    path.write_bytes(convention.write(label))
    dataset = open_dataset(str(root), "train", description(name))
    with pytest.raises(DataError, match=rf"{path.name} has label {convention.unknown} at row 2, column 3"):
        read_label(path, dataset.classes)


def test_labels_of_cocos_things_without_annotations_are_the_only_holes() -> None:
    """Street sign, hat, shoe, eye glasses, plate, mirror, window, desk, door, blender, hair brush, numbered as in labels.txt."""
    holes = {number - 1 for number in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)}
    wanted = [value for value in range(182) if value not in holes]
    assert classes_of("coco_stuff").labelling.values == tuple((value, index) for index, value in enumerate(wanted))


def test_classes_that_data_sets_share() -> None:
    assert classes_of("bdd100k") == classes_of("bdd100k_seg")
    assert (classes_of("bdd100k").names, classes_of("bdd100k").colours) == (CITYSCAPES.names, CITYSCAPES.colours)
    assert classes_of("voc2012") == classes_of("voc2012_aug")
    assert classes_of("voc2012").colours == tuple(map(voc_colour, range(21)))


SOME_COLOURS = {
    "ade20k": {0: (120, 120, 120), 2: (6, 230, 230), 12: (150, 5, 61), 149: (92, 0, 255)},
    "mapillary_vistas": {0: (165, 42, 42), 13: (128, 64, 128), 55: (0, 0, 142), 64: (120, 10, 10)},
    "loveda": {0: (255, 255, 255), 4: (159, 129, 183), 6: (255, 195, 128)},
}


@pytest.mark.parametrize("name", SOME_COLOURS)
def test_some_colours(name: str) -> None:
    colours = classes_of(name).colours
    assert {index: colours[index] for index in SOME_COLOURS[name]} == SOME_COLOURS[name]


def test_colours_that_are_made_are_all_different() -> None:
    assert len(set(classes_of("coco_stuff").colours)) == 171


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_names_its_description(recipe: str) -> None:
    config = recipe_config(recipe)
    assert config.data.dataset_file == description(RECIPES[recipe])
    assert config.model.class_num == 0, "the description says it"
    assert "x".join(map(str, config.data.crop_size)) == recipe.split(".")[2]


@pytest.mark.parametrize("recipe", [recipe for recipe, name in RECIPES.items() if name in ("ade20k", "coco_stuff")])
def test_the_papers_recipes(recipe: str) -> None:
    """arXiv 2105.15203, section 4.1, and what its code says beyond that."""
    config = recipe_config(recipe)
    training, data = config.training, config.data
    crop = 640 if ".b5." in recipe else 512
    assert (data.crop_size, data.base_size, data.scale_range) == ((crop, crop), (crop, 2048), (0.5, 2.0))
    assert (training.batch_size, training.max_steps) == (16, 80_000 if "coco" in recipe else 160_000)
    assert (config.optimizer.lr, config.optimizer.head_lr_multiplier, config.optimizer.weight_decay) == (6e-5, 10.0, 0.01)
    assert (config.optimizer.warmup_steps, config.optimizer.poly_power) == (1500, 1.0)
    assert (config.loss.loss, config.loss.loss_average) == ("ce", "all")
    assert (config.evaluation.eval_mode, config.evaluation.eval_size_divisor) == ("whole", 32)


@pytest.mark.parametrize(
    ("size", "base", "wanted"),
    [
        ((512, 683), 512, (512, 683)),
        ((683, 512), 512, (683, 512)),
        ((256, 341), 512, (512, 682)),
        ((300, 2400), 512, (256, 2048)),  # more than four times as wide as high: the long side decides
        ((480, 640), 640, (640, 853)),
    ],
)
def test_base_size_fits_as_the_img_scale_of_the_papers_code(size: tuple[int, int], base: int, wanted: tuple[int, int]) -> None:
    """Of (2048, base) with the ratio kept: scale = min(2048 / long side, base / short side), rounded to the nearest pixel."""
    assert fitted_size(size, (base, 2048)) == wanted


def test_images_of_ade20k_that_are_gray_and_tiny_make_crops(tmp_path: Path) -> None:
    root = write_dataset(tmp_path, CONVENTIONS["ade20k"], (5, 4), "L")
    dataset, config = open_dataset(str(root), "train", description("ade20k")), recipe_config("segformer.b0.512x512.ade.yaml").data
    image, label = augment(*read_pair(dataset.items[0], dataset.classes), np.random.default_rng(0), config)
    assert (image.shape, label.shape) == ((3, 512, 512), (512, 512))
    assert set(np.unique(label)) <= {0, 1, 149, 255} and len(np.unique(label)) > 2
