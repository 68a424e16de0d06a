"""What the tests of the example clients share: photos of odd sizes, the labels of `infer`, and how a client is held to them."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from parity_tests import ROOT
from parity_tests.export.export_files import connected
from parity_tests.training_runs import flags
from segformer_core.api import load
from segformer_core.cli import DONE, main
from segformer_core.data.image_file import read_image
from segformer_core.evaluation.metrics import near_ties
from segformer_core.protocol.learner import Connect
from segformer_core.sample_city.scenes import scene

EXAMPLES = ROOT / "examples"
COUNT = 20
FILES: dict[str, dict[str, object]] = {
    "one size": {},
    "another size than the recipe's": {"export_height": 56, "export_width": 120},
    "any size, multiples, other normalisation": {
        "export_dynamic": True,
        "base_size": [50, 90],
        "eval_size_divisor": 32,
        "img_norm_mean": [100, 110, 120],
        "img_norm_std": [50, 60, 70],
    },
    "one size, from pixels to labels": {"export_preprocess": True, "base_size": [50, 90], "eval_size_divisor": 32},
}
"""What `export` is given: each has other numbers in its sidecar."""


def write_photos(folder: Path) -> list[Path]:
    """Pictures of the made-up city, of odd sizes, landscape and portrait; some are enlarged on the way, some shrink."""
    rng = np.random.default_rng(7)
    paths = []
    for index in range(COUNT):
        height, width = (int(side) * 2 + 1 for side in rng.integers(20, 130, 2))
        street = scene(rng, max(height, 64), max(width, 64)).image[:height, :width]
        noisy = np.clip(street + rng.normal(0, 6, street.shape), 0, 255).astype(np.uint8)
        paths.append(folder / f"photo{index:02}.png")
        cv2.imwrite(str(paths[-1]), noisy[..., ::-1])
    return paths


def inferred(path: Path, photos: Path, output: Path) -> Path:
    """`infer` with the file alone: no recipe, no data set."""
    keys = {"infer_ckpt_path": path, "data_path": photos, "infer_output_path": output, "device_target": "CPU"}
    assert main("infer", connected("torch"), flags(keys)) == DONE
    return output


def ties_of(path: Path, photos: Sequence[Path], connect: Connect) -> list[np.ndarray]:
    """(H, W) bool of each photo: where the two best logits of a file of logits differ by less than 1e-4."""
    network = load(connect, path, "", {}, device_target="CPU")
    with np.errstate(divide="ignore"):
        return [near_ties(np.log(network.probabilities(read_image(photo)))[None])[0] for photo in photos]


def check(labels: Path, of_infer: Path, photos: Sequence[Path], ties: Sequence[np.ndarray]) -> int:
    """Every label of a client is that of `infer`, but near ties -> how many labels were compared."""
    compared, several = 0, 0
    for photo, tied in zip(photos, ties, strict=True):
        got = cv2.imread(str(labels / f"{photo.stem}.png"), cv2.IMREAD_UNCHANGED)
        wanted = cv2.imread(str(of_infer / f"{photo.stem}_gray.png"), cv2.IMREAD_UNCHANGED)
        assert got is not None, f"no labels of {photo.name}"
        assert got.shape == wanted.shape and tied.mean() < 0.01
        wrong = (got != wanted) & ~tied
        assert not wrong.any(), f"{photo.name} of {wanted.shape}: {wrong.sum()} labels of {wrong.size} differ"
        compared, several = compared + int((~tied).sum()), several + (len(np.unique(got)) > 1)
    assert several > len(photos) // 2, "labels that say nothing"
    return compared


def succeeded(command: Sequence[object], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run([*map(str, command)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


Ran = Callable[[str], tuple[Path, Path, list[np.ndarray]]]
"""Name of FILES -> the file, the folder of `infer`'s labels, and the near ties of each photo."""
