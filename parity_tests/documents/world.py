"""A folder in which the commands of the documents run as they stand, in seconds: a checkout whose recipes and data are small."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from parity_tests import ROOT
from parity_tests.support import undecided_arrays
from segformer_core.cli import program
from segformer_core.data.image_file import read_image
from segformer_core.sample_city.files import Recipe, make_sample_city
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

SIZE = (64, 128)
SMALL: dict[str, Any] = {
    "base_size": list(SIZE),
    "crop_size": [64, 64],
    "eval_crop_size": [64, 64],
    "eval_stride": [48, 48],
    "epoch_size": 1,
    "max_steps": 1,
    "warmup_steps": 0.1,
    "train_log_interval": 1,
    "eval_interval": 1,
    "eval_interval_steps": 1,
    "save_checkpoint_epoch_interval": 1,
    "save_interval_steps": 1,
    "dataset_num_parallel_workers": 1,
}
"""What the recipes' keys are in the world, where a recipe has them."""
IMAGES = 2
"""Of each split of a dataset; `batch_size` is made to fit."""
CAMVID_CLASSES = 11
PUBLISHED = {
    "nvidia/segformer-b0-finetuned-cityscapes-1024-1024": "segformer_b0.safetensors",
    "nvidia/mit-b0": "pretrained/mit_b0.pth",
}
"""Name on the hub -> the file whose arrays stand for it."""
LINKS = ("tools", "examples", "Makefile", "constraints.txt", "pyproject.toml", "README.md")


def make_world(folder: Path) -> None:
    """Fill an empty folder: recipes, data, photos, weights, and a cache that answers for the hub."""
    for name in LINKS:
        (folder / name).symlink_to(ROOT / name)
    small_recipes(folder / "configs")
    city = folder / "data" / "cityscapes"
    make_sample_city(city, Recipe(IMAGES, IMAGES, *SIZE))
    pictures = sorted(city.glob("leftImg8bit/*/*/*.png"))
    photos(folder, pictures)
    camvid(folder / "data" / "camvid", pictures)
    weights(folder)


def small_recipes(folder: Path) -> None:
    shutil.copytree(ROOT / "configs", folder)
    for path in folder.glob("*.yaml"):
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        recipe.update({key: value for key, value in SMALL.items() if key in recipe})
        if "batch_size" in recipe:
            recipe["batch_size"] = min(recipe["batch_size"], IMAGES)
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")


def photos(folder: Path, pictures: list[Path]) -> None:
    """street.jpg, a folder of photos, a video, and twelve photos with masks of two classes."""
    images = [cv2.imread(str(path)) for path in pictures]
    for name in ("photos", "my_photos", "my_masks"):
        (folder / name).mkdir()
    cv2.imwrite(str(folder / "street.jpg"), images[0])
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / "photos" / f"{index}.jpg"), image)
    for index in range(12):
        image = np.roll(images[index % len(images)], 5 * index, 1)  # no two alike, which check_dataset would name
        cv2.imwrite(str(folder / "my_photos" / f"{index:02}.jpg"), image)
        cv2.imwrite(str(folder / "my_masks" / f"{index:02}.png"), (image[..., 1] > image[..., 1].mean()).astype(np.uint8))
    video = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, SIZE[::-1])
    for image in images:
        video.write(image)
    video.release()


def camvid(root: Path, pictures: list[Path]) -> None:
    """A folder dataset of as many classes as CamVid has; a recipe names them."""
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for index, path in enumerate(pictures[:IMAGES]):
            image = read_image(path)
            cv2.imwrite(str(root / "images" / split / f"{split}{index}.jpg"), image[..., ::-1])
            labels = (image.mean(2) / 256 * CAMVID_CLASSES).astype(np.uint8)
            cv2.imwrite(str(root / "labels" / split / f"{split}{index}.png"), labels)


def weights(folder: Path) -> None:
    """A whole network with random numbers, its encoder as the paper's authors publish it, and both as the hub has them."""
    spec = segformer("b0", 19)
    save_weights(folder / "segformer_b0.safetensors", spec, undecided_arrays(spec))
    (folder / "pretrained").mkdir()
    convert(folder / "segformer_b0.safetensors", folder / "pretrained" / "mit_b0.pth", "--drop_head")
    for name, source in PUBLISHED.items():
        cached = folder / "hub" / "hub" / f"models--{name.replace('/', '--')}"
        (cached / "refs").mkdir(parents=True)
        (cached / "refs" / "main").write_text("0" * 40)
        (cached / "snapshots").mkdir()
        convert(folder / source, cached / "snapshots" / ("0" * 40), "--to", "hf")


def convert(*arguments: object) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = program(["convert_model", *map(str, arguments)])
    assert code == 0, said.getvalue()


def environment(world: Path) -> dict[str, str]:
    """The environment of a documented command: this Python, this checkout, no network, launchers that wait."""
    own = {name: value for name, value in os.environ.items() if not re.match("PYTEST_|SEGFORMER_|HF_", name)}
    return own | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHON": sys.executable,
        "FOREGROUND": "1",
        "HF_HOME": str(world / "hub"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
    }


def run(language: str, text: str, world: Path, seconds: float) -> tuple[int, str]:
    """Run a block -> (exit code, what it printed)."""
    script = {"bash": ["bash", "-euo", "pipefail", "-c", text], "python": [sys.executable, "-c", text]}[language]
    done = subprocess.run(
        script, cwd=world, env=environment(world), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds
    )
    return done.returncode, done.stdout
