"""Images in, masks and pictures out, at the image's own size and under the seed's file names."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from segformer_core.config import DataConfig, InferenceConfig
from segformer_core.data import folder, open_dataset
from segformer_core.data.cityscapes import CLASSES, IMAGES
from segformer_core.data.dataset import Classes, read_image
from segformer_core.data.pipeline import network_image, prefetch
from segformer_core.errors import DataError
from segformer_core.files import atomic_write, writable_directory
from segformer_core.learner import Learner
from segformer_core.pictures import colourise, overlay

GRAY, COLOUR, OVERLAP = "_gray.png", "_color.png", "_overlap.png"


def find_images(data_path: str, dataset_file: str) -> tuple[list[Path], Classes]:
    """The images of a dataset's val split, of a folder, or the one file; and the classes to paint. Raises DataError.

    Without a dataset_file a plain folder or file is painted in Cityscapes' classes.
    """
    path = Path(data_path)
    if path.is_dir() and ((path / IMAGES).is_dir() or (path / "images").is_dir()):
        dataset = open_dataset(data_path, "val", dataset_file, with_labels=False)
        return [item.image for item in dataset.items], dataset.classes
    described = folder.find_description(path, dataset_file)
    classes = folder.read_classes(described) if described else CLASSES
    if path.is_file():
        return [path], classes
    images = folder.find_images(path)
    if not images:
        raise DataError(f"no images found at {path}; expected a dataset, a folder of images or one image file")
    stem, count = Counter(image.stem for image in images).most_common(1)[0]
    if count > 1:
        names = ", ".join(image.name for image in images if image.stem == stem)
        raise DataError(f"{names} in {path} would overwrite each other's results; rename all but one")
    return images, classes


def infer(
    learner: Learner,
    images: Sequence[Path],
    classes: Classes,
    data: DataConfig,
    inference: InferenceConfig,
    log: Callable[[str], None],
) -> None:
    """Predict every image and write what the configuration's switches ask for. Raises UserError."""
    output = writable_directory(Path(inference.infer_output_path))
    log(f"get image size:{len(images)}, infer result will save to {output.resolve()}")
    start = since = time.perf_counter()

    def read(path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
        image = read_image(path)
        return path, image, network_image(image, data)

    for done, (path, image, inputs) in enumerate(prefetch(read, images, data.dataset_num_parallel_workers), start=1):
        write_results(output, path, image, learner.predict(inputs, *image.shape[:2]), classes, inference)
        if done % inference.infer_log_interval == 0 or done == len(images):
            now = time.perf_counter()
            steps = (done - 1) % inference.infer_log_interval + 1
            log(f"infer {done}/{len(images)} done, step cost:{(now - since) / steps * 1000:.0f}ms")
            since = now
    log(f"all infer process done, cost:{time.perf_counter() - start:.0f}s")


def write_results(
    output: Path, source: Path, image: np.ndarray, labels: np.ndarray, classes: Classes, inference: InferenceConfig
) -> None:
    """Gray (class indices), colour and overlap pictures of one image, and a copy of it; each file is whole or not there."""
    colours = colourise(labels, classes)
    if inference.infer_save_gray_img:
        write_png(output / f"{source.stem}{GRAY}", labels)
    if inference.infer_save_color_img:
        write_png(output / f"{source.stem}{COLOUR}", colours)
    if inference.infer_save_overlap_img:
        write_png(output / f"{source.stem}{OVERLAP}", overlay(image, colours))
    copy = output / source.name
    if inference.infer_copy_original_img and copy.resolve() != source.resolve():
        atomic_write(copy, lambda temporary: shutil.copyfile(source, temporary))


def write_png(path: Path, picture: np.ndarray) -> None:
    """(H, W) uint8 gray or (H, W, 3) uint8 RGB. Raises UserError."""
    pixels = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".png", pixels)[1]
    atomic_write(path, lambda temporary: temporary.write_bytes(encoded.tobytes()))
