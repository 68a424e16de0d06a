"""How published weights are checked, on a network that transformers makes up: its own logits stand in for the stated ones."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.report.published import (
    NotChecked,
    Scored,
    Stated,
    check,
    check_miou,
    found,
    network_input,
    published,
    published_scores,
)
from parity_tests.report.records import RECORDS
from parity_tests.support import hot_arrays
from segformer_core.config.load import load_config
from segformer_core.protocol.plan import make_plan
from segformer_core.spec.model import segformer
from segformer_core.weights.reading import read
from segformer_core.weights.store import save_weights
from segformer_core.weights.writing import plan_writing, write

MODEL = "made-up"
IMAGE = "picture.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, need_transformers):
    """Weights in transformers' form and in the paper's, and a photograph's stand-in of another size than the network's."""
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    model = SegformerForSemanticSegmentation(SegformerConfig(num_labels=5, initializer_range=0.2)).eval()
    model.save_pretrained(folder / MODEL)
    weights = read(folder / MODEL)
    write(weights, folder / "paper.pth", plan_writing(weights, folder / "paper.pth"))
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8), (640, 480))
    cv2.imwrite(str(folder / IMAGE), pixels)
    return folder


@pytest.fixture(scope="module")
def need_transformers():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def row(folder):
    """As transformers' own conversion script computes it."""
    import torch
    from PIL import Image
    from transformers import SegformerForSemanticSegmentation, SegformerImageProcessor

    pixels = SegformerImageProcessor()(images=Image.open(folder / IMAGE), return_tensors="pt").pixel_values
    with torch.no_grad():
        logits = SegformerForSemanticSegmentation.from_pretrained(folder / MODEL).eval()(pixels).logits
    assert logits.shape == (1, 5, 128, 128) and np.ptp(logits[0, :3, :3, :3].numpy()) > 0.1
    return Stated(
        MODEL, (MODEL, "paper.pth"), "stand-in", IMAGE, "nowhere", np.round(logits[0, :3, :3, :3].double().numpy(), 4), 1e-3
    )


@pytest.fixture(autouse=True)
def records_stay_as_they_are():
    """A made-up network is no part of a report."""
    comparisons, sides = dict(RECORDS.comparisons), RECORDS.sides
    yield
    RECORDS.comparisons, RECORDS.sides = comparisons, sides


def test_the_input_is_transformers(folder):
    from PIL import Image
    from transformers import SegformerImageProcessor

    want = SegformerImageProcessor()(images=Image.open(folder / IMAGE), return_tensors="np").pixel_values
    got = network_input(folder / IMAGE)
    assert got.shape == want.shape == (1, 3, 512, 512) and got.dtype == np.float32
    assert np.abs(got - want).max() < 1e-6


@pytest.mark.parametrize(("backend", "file"), [("torch", MODEL), ("torch", "paper.pth"), ("mindspore", "paper.pth")])
def test_stated_logits_are_found(backend, file, row, folder, request):
    request.getfixturevalue(f"need_{backend}")
    check(replace(row, files=(file,)), folder, backend)


def test_other_weights_are_seen(row, folder, tmp_path, need_torch):
    import torch

    (tmp_path / IMAGE).write_bytes((folder / IMAGE).read_bytes())
    arrays = torch.load(folder / "paper.pth")
    arrays["decode_head.linear_pred.bias"][1] += 5e-3
    torch.save(arrays, tmp_path / "paper.pth")
    with pytest.raises(AssertionError, match=r"^made-up: 0\.005\d* from the logits of the stand-in, allowed 0\.001$"):
        check(row, tmp_path, "torch")


def test_another_image_is_seen(row, folder, tmp_path, need_torch):
    other = cv2.flip(cv2.imread(str(folder / IMAGE)), 1)
    cv2.imwrite(str(tmp_path / IMAGE), other)
    (tmp_path / "paper.pth").write_bytes((folder / "paper.pth").read_bytes())
    with pytest.raises(AssertionError, match="from the logits of the stand-in"):
        check(row, tmp_path, "torch")


def test_what_is_missing_is_not_checked_and_named(row, folder, tmp_path):
    with pytest.raises(NotChecked, match=r"^made-up, stand-in: not checked, no weights \(SEGFORMER_WEIGHTS is not set\)$"):
        found(row, None)
    with pytest.raises(NotChecked, match=r"not checked, no weights \(made-up or paper.pth in SEGFORMER_WEIGHTS\)$"):
        found(row, tmp_path)
    (tmp_path / "paper.pth").write_bytes(b"")
    with pytest.raises(NotChecked, match=r"not checked, no image \(picture.jpg in SEGFORMER_WEIGHTS: nowhere\)$"):
        found(row, tmp_path)


def test_a_stated_miou_is_found_and_another_refused(tmp_path, need_torch):
    """All made-up weights label everything as one class: its share of the labels' pixels gives the mIoU by hand."""
    spec = segformer("b0", class_count=3)
    arrays = hot_arrays(spec)
    arrays["decode_head.linear_pred.weight"] *= 0
    arrays["decode_head.linear_pred.bias"] = np.array([0, 9, 0], np.float32)
    save_weights(tmp_path / "w.safetensors", spec, arrays)
    data = write_folder_dataset(tmp_path / "data", images=1, validation=2)
    truth = np.stack([cv2.imread(str(path), 0) for path in (data / "labels/val").glob("*.png")])
    share = 100 * (truth == 1).sum() / (truth != 255).sum()
    size = ("--class_num=3", "--base_size=[64,96]")
    row = Scored("made-up", ("w.safetensors",), size, round(share / 3, 2))
    check_miou(row, tmp_path, data, "torch", tmp_path / "result")
    with pytest.raises(AssertionError, match=rf"^made-up: mIoU {row.miou:.2f}, the paper states {row.miou + 0.12}, allowed 0.1$"):
        check_miou(replace(row, miou=row.miou + 0.12), tmp_path, data, "torch", tmp_path / "result")
    with pytest.raises(NotChecked, match=r"^made-up, mIoU: not checked, no Cityscapes \(SEGFORMER_CITYSCAPES is not set\)$"):
        check_miou(row, tmp_path, None, "torch", tmp_path / "result")
    with pytest.raises(NotChecked, match=r"^made-up, mIoU: not checked, no weights \(SEGFORMER_WEIGHTS is not set\)$"):
        check_miou(row, None, data, "torch", tmp_path / "result")


def test_each_published_miou_has_a_recipe_of_its_network():
    """The paper's tables 1 and 2: B0 at two sizes, B1 to B5 at 1024."""
    rows = published_scores()
    assert [row.miou for row in rows] == [76.2, 71.9, 78.5, 81.0, 81.7, 82.3, 82.4]
    for row in rows:
        config = load_config(row.flags)
        variant, _, data, height, width = row.model.removeprefix("segformer-").split("-")
        assert config.model.backbone == f"mit_{variant}" and data == "cityscapes"
        assert config.data.crop_size == (int(height), int(width))


def test_each_published_network_is_shown_images_as_the_paper_shows_them():
    """By windows, whose scores are resized to the image that is shown, and then to the labels: for 512×1024 that is twice."""
    for row in published_scores():
        config = load_config(row.flags)
        [view] = make_plan((1024, 2048), config.data, config.evaluation).views
        if row.model.endswith("-512-1024"):
            assert (view.size, view.crop, view.windows) == ((512, 1024), (512, 1024), ((0, 0),))
        else:
            assert (view.size, view.crop) == ((1024, 2048), (1024, 1024)) and len(view.windows) == 3


def test_the_table_is_whole():
    """Every network of the paper's authors that the script names: six on ADE20K and nine on Cityscapes."""
    rows = published()
    assert len(rows) == 15 + 2 and len({row.model for row in rows}) == 15
    assert all(row.logits.shape == (3, 3, 3) and np.isfinite(row.logits).all() for row in rows)
    assert len({row.logits.tobytes() for row in rows}) == 15
    assert sorted(row.allowed for row in rows) == [1e-4, *[1e-2] * 15, 1e-1]
    assert all(row.image.startswith("000000039769.") for row in rows)
