"""Photos of noise of odd sizes, and the network `Halves` that labels them into files."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from parity_tests.inference.halves import CLASSES, Halves, segmenter
from segformer_core.config.keys import InferenceConfig
from segformer_core.inference.infer import infer
from segformer_core.inference.results import Results
from segformer_core.inference.sources import named

SIZES = {"wide.png": (30, 70), "tall.jpg": (61, 25), "square.bmp": (40, 40), "dot.png": (1, 1), "line.png": (10, 20000)}


def write_images(folder: Path, sizes: dict[str, tuple[int, int]]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for index, (name, size) in enumerate(sizes.items()):
        pixels = np.random.default_rng(index).integers(0, 256, (*size, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / name), pixels)
    return [folder / name for name in sizes]


def run(images: list[Path], output: Path, workers: int = 2, batch_size: int = 1, **switches: Any) -> tuple[Halves, list[str]]:
    """Infer on files whose places are their names."""
    lines: list[str] = []
    network, settings = Halves(), InferenceConfig(infer_output_path=str(output), **switches)
    sources = named((image, Path(image.name)) for image in images)
    infer(segmenter(network, workers, batch_size), Results(sources, CLASSES, settings), settings.infer_log_interval, lines.append)
    return network, lines


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
