"""The Python interface: three lines from a weight file to the label map that the commands compute."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

import backend_mindspore
import backend_torch
from parity_tests.conftest import need
from parity_tests.support import DEVICE, predict, torch_learner, undecided_arrays
from segformer_core.commands.convert_model import main as convert
from segformer_core.errors import DataError, WeightsError
from segformer_core.inference.segmenter import network_image
from segformer_core.protocol.plan import make_plan
from segformer_core.spec.model import segformer
from segformer_core.weights.loading import load_weights
from segformer_core.weights.store import save_weights

SPEC = segformer("b1", class_count=5, numerics="hf", decoder_width=64)
BACKENDS = {"torch": backend_torch, "mindspore": backend_mindspore}


@pytest.fixture
def weights(tmp_path) -> str:
    save_weights(tmp_path / "weights.safetensors", SPEC, undecided_arrays(SPEC, seed=2))
    return str(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("backend", BACKENDS)
def test_three_lines(backend, weights, tmp_path, need_torch):
    need(backend)
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8), (180, 100))
    cv2.imwrite(str(tmp_path / "street.png"), pixels[..., ::-1])

    network = BACKENDS[backend].load(weights, base_size=[100, 180], device_target=DEVICE)
    labels = network.segment(tmp_path / "street.png")

    assert labels.shape == (100, 180) and labels.dtype == np.uint8
    assert np.array_equal(network.segment(pixels), labels)
    assert network.spec == SPEC, "variant, classes, width and constants are the file's"
    (view,) = make_plan((100, 180), network.data, network.evaluation).views
    want = predict(torch_learner(SPEC, undecided_arrays(SPEC, seed=2)), network_image(pixels, view, network.data), 100, 180)
    assert (labels != want).mean() < 1e-3 and len(np.unique(want)) > 1


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((10, 20), np.uint8),
        np.zeros((10, 20, 4), np.uint8),
        np.zeros((3, 10, 20), np.uint8),
        np.zeros((10, 20, 4), np.float32),
        np.zeros((10, 20, 3), complex),
        np.zeros((1, 10, 20, 3), np.uint8),
        np.zeros((0, 20, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_image_is_refused_in_one_sentence(pixels, weights, need_torch):
    network = backend_torch.load(weights, base_size=[32, 32], device_target=DEVICE)
    shape = "×".join(map(str, pixels.shape))
    with pytest.raises(DataError, match=f"^the image is an array of {shape} {pixels.dtype}; expected height × width × 3"):
        network.segment(pixels)


def test_floats_are_asked_for_their_range_and_then_labelled(weights, need_torch):
    pixels = np.random.default_rng(5).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    keys = {"base_size": [32, 48], "device_target": DEVICE}
    with pytest.raises(DataError, match=r"^the image holds float64 values, here from 0 to 1: say which .* image_range: \[0, 1\]"):
        backend_torch.load(weights, **keys).segment(pixels / pixels.max())
    floats = backend_torch.load(weights, image_range=[0, 1], **keys).segment(pixels / 255)
    assert (floats != backend_torch.load(weights, **keys).segment(pixels)).mean() < 0.01


def test_settings_come_from_a_recipe_and_from_keys(weights, need_torch):
    recipe = "configs/segformer.b0.camvid.yaml"
    network = backend_torch.load(weights, recipe, eval_mode="slide", eval_scales=[0.5, 1], eval_flip=True, device_target=DEVICE)
    plan = make_plan((360, 480), network.data, network.evaluation)
    assert [view.size for view in plan.views] == [(192, 256), (384, 480)] and plan.flip and plan.views[0].windows


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fault_of_the_weights_is_a_warning_at_the_callers_line(backend, tmp_path, need_torch):
    need(backend)
    arrays = undecided_arrays(SPEC)
    arrays["stages.0.norm.bias"][1] = np.nan
    path = tmp_path / "weights.safetensors"
    save_weights(path, SPEC, arrays)
    with pytest.warns(UserWarning) as issued:
        BACKENDS[backend].load(str(path), device_target=DEVICE)
    (warning,) = issued
    fault = "1 array holds NaN or infinity, first stages.0.norm.bias: the network cannot work"
    assert str(warning.message) == f"{path}: {fault}" and warning.filename == __file__


def test_mistakes_are_user_errors(weights, tmp_path, need_torch):
    with pytest.raises(WeightsError, match="no such weight file"):
        backend_torch.load("nowhere.safetensors")
    with pytest.raises(DataError, match="cannot read"):
        backend_torch.load(weights, device_target=DEVICE).segment("nowhere.png")


def test_a_description_of_other_classes_is_refused(weights, tmp_path):
    """As `infer` refuses it. That of a recipe, which may be for other data, is passed over (the camvid recipe, above)."""
    (tmp_path / "two.yaml").write_text("classes: [a, b]")
    with pytest.raises(WeightsError, match=r"weights\.safetensors has class_num 5; the configuration has class_num 2; "):
        backend_torch.load(weights, dataset_file=str(tmp_path / "two.yaml"), device_target=DEVICE)


def test_the_constants_are_the_files_unless_named(weights, tmp_path, need_torch):
    """transformers' files do not say with whose constants they were trained; ours do, and are not contradicted."""
    from backend_torch import load

    convert([str(weights), str(tmp_path / "folder"), "--to", "hf"])
    (tmp_path / "recipe.yaml").write_text("numerics: mmseg\n")
    profiles = [
        load(tmp_path / "folder").spec.numerics,
        load(tmp_path / "folder", numerics="nvlabs").spec.numerics,
        load(tmp_path / "folder", config_path=tmp_path / "recipe.yaml").spec.numerics,
        load(weights).spec.numerics,
    ]
    assert profiles == ["hf", "nvlabs", "mmseg", "hf"]
    with pytest.raises(WeightsError, match="has numerics hf; the configuration has numerics nvlabs"):
        load(weights, numerics="nvlabs")


def test_the_paper_authors_weights_in_transformers_form_are_not_advised_against(weights, tmp_path):
    convert([str(weights), str(tmp_path / "folder"), "--to", "hf"])
    sentence = load_weights(str(tmp_path / "folder"), replace(SPEC, numerics="nvlabs"))[1]
    assert "set --numerics hf to do the same, but not for the paper's own weights" in sentence
