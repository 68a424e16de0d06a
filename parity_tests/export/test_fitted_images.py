"""`infer` with a file of one size labels an image of any: as the rule of `segformer_core/protocol/fit.py`, written out, does."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.export.export_files import SMALL, connected
from parity_tests.training_runs import FULL, flags
from segformer_core.cli import DONE, INCOMPLETE, main
from segformer_core.data.transforms import normalise
from segformer_core.evaluation.metrics import near_ties

FRAME = 64, 96
SHAPES = {
    (64, 96): (64, 96),
    (101, 151): (64, 96),
    (77, 60): (64, 50),
    (61, 133): (44, 96),
    (30, 31): (64, 66),
    (9, 300): (32, 96),
    (211, 13): (64, 32),
}
"""Of an image -> at which it is seen."""
KINDS = {
    "logits": ("torch", "ONNX", {}),
    "pixels to labels": ("torch", "ONNX", {"export_preprocess": True}),
    "MINDIR": ("mindspore", "MINDIR", {}),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Noise in large patches: of such an image no resize is the identity, and every pixel tells where it lies."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(5)
    for index, shape in enumerate(SHAPES):
        patches = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
        image = cv2.resize(patches, shape[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index}.png"), np.clip(image + rng.normal(0, 9, image.shape), 0, 255).astype(np.uint8))
    return folder


def inferred(backend: str, path: Path, photos: Path, output: Path, **keys: object) -> int:
    paths = {"infer_ckpt_path": path, "data_path": photos, "infer_output_path": output}
    return main("infer", connected(backend), flags(SMALL | paths | keys))


def expected(session, photo: Path, seen: tuple[int, int], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a photo, and which of them are near ties; for a file of logits and for one from pixels to labels."""
    image = cv2.imread(str(photo))[..., ::-1]
    small = cv2.resize(image, seen[::-1]) if image.shape[:2] != seen else image
    if kind == "pixels to labels":
        whole = np.full((1, *FRAME, 3), (124, 116, 104), np.uint8)
        whole[0, : seen[0], : seen[1]] = small
        labels = cv2.resize(session(whole)[0, : seen[0], : seen[1]], image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        return labels, np.zeros(labels.shape, bool)
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    whole = np.zeros((1, 3, *FRAME), np.float32)
    whole[0, :, : seen[0], : seen[1]] = normalise(small, mean, std).transpose(2, 0, 1)
    logits = session(whole)[0, :, : -(-seen[0] // 4), : -(-seen[1] // 4)]
    scores = np.stack([cv2.resize(plane, image.shape[1::-1]) for plane in logits])
    return scores.argmax(0), near_ties(scores[None], float(np.abs(logits).max()))[0]


ONE_BY_ONE = ["1.png", "4.png", "6.png"]
"""A photo that is shrunk, one that is enlarged and one that is high. MindSpore compiles something for each size."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_one_size_labels_images_of_every_size(kind, varied, photos, tmp_path):
    backend, name, keys = KINDS[kind]
    path = varied(backend, name, **keys)
    chosen = [photos / name for name in ONE_BY_ONE] if backend == "mindspore" and not FULL else sorted(photos.iterdir())
    (tmp_path / "photos").mkdir()
    for photo in chosen:
        shutil.copy(photo, tmp_path / "photos")
    assert inferred(backend, path, tmp_path / "photos", tmp_path / "out") == DONE
    from backend_torch.exported import open_file

    session = open_file(varied("torch", "ONNX", **keys))  # of the same network
    for photo in chosen:
        index, seen = int(photo.stem), list(SHAPES.values())[int(photo.stem)]
        wanted, ties = expected(session, photos / f"{index}.png", seen, kind)
        got = cv2.imread(str(tmp_path / "out" / f"{index}_gray.png"), cv2.IMREAD_UNCHANGED)
        assert got.shape == wanted.shape and ties.mean() < 0.01
        assert ((got == wanted) | ties).all(), f"photo {index}: {(got != wanted).mean():.2%} differ"
        assert len(np.unique(got)) > 1


def test_it_says_that_it_shows_images_smaller_than_asked(varied, photos, tmp_path, capsys):
    path = varied("torch", "ONNX")
    assert inferred("torch", path, photos, tmp_path / "out", base_size=[128, 192]) == DONE
    told = "images are fitted into the file's 64×96 pixels, which are less than base_size [128, 192]"
    assert f"; {told}" in capsys.readouterr().out
    from backend_torch import load

    with pytest.warns(UserWarning, match=re.escape(told)):
        load(str(path), base_size=[128, 192])
    assert inferred("torch", path, photos, tmp_path / "as_usual") == DONE
    assert "less than base_size" not in capsys.readouterr().out
    for one in sorted((tmp_path / "out").glob("*_gray.png")):
        assert one.read_bytes() == (tmp_path / "as_usual" / one.name).read_bytes()


def test_an_image_whose_windows_are_larger_than_the_file_costs_itself_alone(varied, photos, tmp_path, capsys):
    keys = {"eval_mode": "native", "eval_crop_size": [80, 80], "eval_stride": [64, 64], "eval_batch_size": 1}
    path = varied("torch", "ONNX")
    assert inferred("torch", path, photos, tmp_path / "out", **keys) == INCOMPLETE
    said = capsys.readouterr()
    assert f"{photos / '1.png'}: the file takes images of 64×96 pixels, and it would get windows of 80×80 pixels" in said.out
    assert "3 of 7 files could not be read" in said.err
    done = {path.name for path in (tmp_path / "out").glob("*_gray.png")}
    assert done == {f"{index}_gray.png" for index, (height, _) in enumerate(SHAPES) if height <= 64}
