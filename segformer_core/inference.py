"""Images in, masks and pictures out, at the image's own size and under the seed's file names."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
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
"""What follows an image's stem in the names of its results."""

SPLIT = "val"


def find_images(data_path: str, dataset_file: str) -> tuple[list[Path], Classes]:
    """The images of a dataset's val split, of a folder, or the one file; and the classes to paint.

    A plain folder or file without a description is painted in Cityscapes' classes. Raises DataError.
    """
    path = Path(data_path)
    if (path / IMAGES).is_dir() or (path / "images" / SPLIT).is_dir():
        dataset = open_dataset(data_path, SPLIT, dataset_file, with_labels=False)
        return [item.image for item in dataset.items], dataset.classes
    described = folder.find_description(path, dataset_file)
    images = [path] if path.is_file() else folder.find_images(path)
    if not images:
        raise DataError(f"no images found at {path}; expected a dataset, a folder of images or one image")
    return images, folder.read_classes(described) if described else CLASSES


def infer(
    learner: Learner,
    images: Sequence[Path],
    classes: Classes,
    data: DataConfig,
    inference: InferenceConfig,
    log: Callable[[str], None],
) -> None:
    """Predict every image and write what the switches ask for; reads ahead and writes behind in threads.

    In the images' own folder no image is copied onto itself. Raises UserError: before the network runs if the
    output folder cannot be written, or if a result would overwrite an image or another image's result.
    """
    output = writable_directory(Path(inference.infer_output_path))
    check_results(images, output, inference)
    log(f"get image size:{len(images)}, infer result will save to {output.resolve()}")
    start = since = time.perf_counter()
    logged = 0

    def read(path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
        image = read_image(path)
        return path, image, network_image(image, data)

    def predictions() -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
        for path, image, network_input in prefetch(read, images, data.dataset_num_parallel_workers):
            yield path, image, learner.predict(network_input, *image.shape[:2])

    def write(predicted: tuple[Path, np.ndarray, np.ndarray]) -> None:
        write_results(*predicted, classes, output, inference)

    written = prefetch(write, predictions(), data.dataset_num_parallel_workers)
    for done, _ in enumerate(written, start=1):
        if done % inference.infer_log_interval == 0 or done == len(images):
            now = time.perf_counter()
            cost = (now - since) / (done - logged)
            since, logged = now, done
            log(f"infer {done}/{len(images)} done, step cost:{cost * 1000:.0f}ms")
    log(f"all infer process done, cost:{time.perf_counter() - start:.0f}s")


def picture_suffixes(inference: InferenceConfig) -> list[str]:
    """The pictures of an image that the switches ask for."""
    wanted = {
        GRAY: inference.infer_save_gray_img,
        COLOUR: inference.infer_save_color_img,
        OVERLAP: inference.infer_save_overlap_img,
    }
    return [suffix for suffix, switch in wanted.items() if switch]


def check_results(images: Sequence[Path], output: Path, inference: InferenceConfig) -> None:
    """Raises DataError if a result would overwrite another image or another image's result."""
    output, suffixes = output.resolve(), picture_suffixes(inference)
    sources = {image.parent.resolve() / image.name: image for image in images}
    owners: dict[str, Path] = {}
    for image in sources.values():
        names = [f"{image.stem}{suffix}" for suffix in suffixes]
        if inference.infer_copy_original_img:
            names.append(image.name)
        for name in names:
            overwritten = sources.get(output / name, image)
            if overwritten != image:
                raise DataError(
                    f"a result of {image} would overwrite the image {overwritten}; "
                    "keep images and results in folders of their own"
                )
            owner = owners.setdefault(name, image)
            if owner != image:
                raise DataError(f"{owner} and {image} would both be written to {output / name}; rename one")


def write_results(
    source: Path,
    image: np.ndarray,
    labels: np.ndarray,
    classes: Classes,
    output: Path,
    inference: InferenceConfig,
) -> None:
    """Class indices, colours and overlay of one image, and its copy; each file is whole or not there."""
    colours = colourise(labels, classes)
    pictures = {GRAY: labels, COLOUR: colours, OVERLAP: overlay(image, colours)}
    for suffix in picture_suffixes(inference):
        write_png(output / f"{source.stem}{suffix}", pictures[suffix])
    copy = output / source.name
    if inference.infer_copy_original_img and copy.resolve() != source.resolve():
        atomic_write(copy, lambda temporary: shutil.copyfile(source, temporary))


def write_png(path: Path, picture: np.ndarray) -> None:
    """(H, W) uint8 gray or (H, W, 3) uint8 RGB. Raises UserError."""
    pixels = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".png", pixels)[1]
    atomic_write(path, lambda temporary: temporary.write_bytes(encoded.tobytes()))
