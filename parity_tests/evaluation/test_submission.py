"""The Cityscapes benchmark's own script scores our files; the archive has the names and ids that its server expects."""

import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as benchmark
from cityscapesscripts.helpers.labels import id2label
from cityscapesscripts.preparation.json2labelImg import json2labelImg

from parity_tests.support import hot_arrays
from parity_tests.training_runs import flags
from segformer_core.cli import DONE, USERS_MISTAKE, main
from segformer_core.config.keys import DataConfig, EvaluationConfig
from segformer_core.data.cityscapes import CLASSES
from segformer_core.data.conversion import convert
from segformer_core.data.dataset import Classes, Dataset, read_label
from segformer_core.data.layout import open_dataset
from segformer_core.errors import DataError
from segformer_core.evaluation.evaluate import evaluate
from segformer_core.evaluation.submission import Submission
from segformer_core.inference.segmenter import Segmenter
from segformer_core.sample_city.files import Recipe, make_sample_city
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

SPEC = segformer("b0")
SIZE = (96, 192)


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("city")
    make_sample_city(root, Recipe(train=1, val=5, height=SIZE[0], width=SIZE[1]))
    for polygons in (root / "gtFine/val").glob("*/*.json"):
        convert(polygons)
        json2labelImg(str(polygons), str(polygons).replace("polygons.json", "labelIds.png"), "ids")
    return root


class SpoiltTruth:
    """A learner that returns the truth with random classes in three pixels of ten and wherever the truth is ignored."""

    def __init__(self, dataset: Dataset):
        self.truths = [read_label(item.label, CLASSES) for item in dataset.items]
        self.rng = np.random.default_rng(0)

    def predict(self, images, plan) -> np.ndarray:
        labels = self.truths.pop(0).copy()
        spoilt = (self.rng.random(labels.shape) < 0.3) | (labels == 255)
        labels[spoilt] = self.rng.integers(0, len(CLASSES), labels.shape)[spoilt]
        return labels[None]


def test_the_benchmark_finds_the_same_iou_in_every_class(city, tmp_path):
    dataset = open_dataset(str(city), "val")
    data = DataConfig(base_size=SIZE, dataset_num_parallel_workers=2)
    submission = Submission(tmp_path, dataset)
    segmenter = Segmenter(SpoiltTruth(dataset), SPEC, data, EvaluationConfig())
    evaluation = evaluate(segmenter, dataset, lambda line: None, "spoilt", keep=submission.write)

    benchmark.args.evalInstLevelScore, benchmark.args.JSONOutput, benchmark.args.quiet = False, False, True
    benchmark.args.predictionPath, benchmark.args.predictionWalk = str(tmp_path), None
    truths = sorted(str(path) for path in (city / "gtFine/val").glob("*/*_labelIds.png"))
    predictions = [benchmark.getPrediction(benchmark.args, truth) for truth in truths]
    judged = benchmark.evaluateImgLists(predictions, truths, benchmark.args)
    benchmark_iou = np.array([judged["classScores"][name] for name in CLASSES.names])
    np.testing.assert_allclose(evaluation.scores.iou, benchmark_iou, rtol=1e-12)
    assert np.unique(benchmark_iou.round(3)).size > 10, "every class has a score of its own"
    assert evaluation.scores.miou == pytest.approx(judged["averageScoreClasses"], rel=1e-12)


def test_the_servers_names_and_ids_in_full_size(city, tmp_path):
    dataset = open_dataset(str(city), "val")
    submission = Submission(tmp_path / "new", dataset)
    labels = np.arange(SIZE[0] * SIZE[1], dtype=np.int64).reshape(SIZE) % len(CLASSES)
    for item in dataset.items:
        submission.write(item, labels.astype(np.uint8))
    archive = submission.finish()
    expected = sorted(item.image.name.replace("_leftImg8bit.png", "_pred_labelIds.png") for item in dataset.items)
    assert sorted(zipfile.ZipFile(archive).namelist()) == expected
    ids = cv2.imread(str(tmp_path / "new" / expected[0]), cv2.IMREAD_UNCHANGED)
    assert [id2label[value].name for value in ids[0, :19].tolist()] == list(CLASSES.names)
    assert ids.shape == SIZE and ids.dtype == np.uint8


def test_other_classes_are_no_submission(city, tmp_path):
    dataset = Dataset(city, "val", Classes(("sky", "road"), ((1, 1, 1), (2, 2, 2))), ())
    complaint = r"needs Cityscapes' 19 classes, but the dataset has its own \(sky, road\); leave save_submission empty"
    with pytest.raises(DataError, match=complaint):
        Submission(tmp_path / "new", dataset)
    assert not (tmp_path / "new").exists()


def test_the_test_split_is_labelled_without_labels(city, tmp_path, need_torch, capsys):
    from backend_torch.device import connect

    root = tmp_path / "city"
    shutil.copytree(city / "leftImg8bit/val", root / "leftImg8bit/test")
    save_weights(tmp_path / "weights.safetensors", SPEC, hot_arrays(SPEC))
    keys = {
        "data_path": root,
        "base_size": list(SIZE),
        "eval_split": "test",
        "eval_ckpt_path": tmp_path / "weights.safetensors",
        "eval_output_path": tmp_path / "result",
        "device_target": "CPU",
    }
    assert main("evaluate", connect, flags(keys)) == USERS_MISTAKE
    assert "5 of 5 images of test have no label" in capsys.readouterr().err
    assert main("evaluate", connect, flags(keys | {"save_submission": tmp_path / "sent"})) == DONE
    output = capsys.readouterr().out
    assert "nothing is scored: only the benchmark's server has the test labels" in output
    assert f"submission: {tmp_path / 'sent/submission.zip'}" in output
    assert len(zipfile.ZipFile(tmp_path / "sent/submission.zip").namelist()) == 5
    assert not (tmp_path / "result/result.json").exists()


def test_a_result_holds_every_figure_and_setting(city, tmp_path, need_torch):
    from backend_torch.device import connect
    from segformer_core.weights.store import sha256

    save_weights(tmp_path / "weights.safetensors", SPEC, hot_arrays(SPEC))
    keys = {
        "data_path": city,
        "base_size": list(SIZE),
        "eval_ckpt_path": tmp_path / "weights.safetensors",
        "eval_output_path": tmp_path / "result",
        "report": tmp_path / "page",
        "eval_flip": True,
        "device_target": "CPU",
    }
    assert main("evaluate", connect, flags(keys)) == DONE
    result = json.loads((tmp_path / "result/result.json").read_text())
    counts = np.array(result["confusion_matrix"])
    assert [row["truth_pixels"] for row in result["classes"]] == counts.sum(1).tolist()
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    ious = [row["iou"] for row in result["classes"]]
    assert [iou is None for iou in ious] == (union == 0).tolist()
    assert result["miou"] == pytest.approx(np.mean([iou for iou in ious if iou is not None]))
    assert result["absent"] == [row["name"] for row in result["classes"] if row["iou"] is None]
    assert (result["images"], result["settings"]["eval_flip"], result["data"]["split"]) == (5, True, "val")
    assert result["weights"]["sha256"] == sha256(hot_arrays(SPEC))
    assert set(result["image_scores"]) == {item.name for item in open_dataset(str(city), "val").items}
    assert {"segformer", "python", "numpy", "opencv", "torch"} == set(result["versions"])
    page = (tmp_path / "page/report.html").read_text()
    assert f"{100 * result['miou']:.2f}" in page
