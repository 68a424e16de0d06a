"""Images and videos in, masks and pictures out, at their own size and under the seed's file names."""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from segformer_core.config import InferenceConfig
from segformer_core.data.dataset import Classes
from segformer_core.data.image_file import read_image
from segformer_core.data.pipeline import prefetch
from segformer_core.errors import DataError, UserError
from segformer_core.files import atomic_write, writable_directory
from segformer_core.pace import Pace
from segformer_core.pictures import colourise, legend, overlay, write_png
from segformer_core.segmenter import Segmenter
from segformer_core.sources import Source
from segformer_core.video import Video, video_writer

GRAY, COLOUR, OVERLAP = "_gray.png", "_color.png", "_overlap.png"
"""What follows an image's name in those of its results."""

VIDEO_ENDINGS = {GRAY: "_gray.mkv", COLOUR: "_color.mp4", OVERLAP: "_overlap.mp4"}
LEGEND, LEGEND_WIDTH = "legend.png", 640


class Incomplete(UserError):
    """Some files could not be read; the results of all others are there. The command exits with 1."""


def infer(
    segmenter: Segmenter,
    sources: Sequence[Source],
    classes: Classes,
    inference: InferenceConfig,
    log: Callable[[str], None],
) -> None:
    """Predict every image, then every video, and write what the switches ask for; reads ahead and writes behind in threads.

    In the images' own folder no image is copied onto itself. Raises UserError: before the network runs if an output folder
    cannot be written, or if a result would overwrite a source or another's result; Incomplete at the end if some sources could
    not be read, each of which was logged when met.
    """
    output = writable_directory(Path(inference.infer_output_path))
    taken = check_results(sources, output, inference)
    for folder in sorted({(output / source.place).parent for source in sources}):
        writable_directory(folder)
    images = [source for source in sources if not source.is_video]
    videos = [source for source in sources if source.is_video]
    count = f"get image size:{len(images)}" + (f", videos:{len(videos)}" if videos else "")
    log(f"{count}, infer result will save to {output.resolve()}")
    start = time.perf_counter()
    if {COLOUR, OVERLAP} & set(pictures_of(inference)):
        write_legend(output, classes, taken, log)
    unread: list[Path] = []

    def note(source: Source, error: DataError) -> None:
        log(str(error))
        unread.append(source.path)

    infer_images(segmenter, images, classes, inference, log, note)
    for video in videos:
        try:
            infer_video(segmenter, video, classes, inference, log)
        except DataError as error:
            note(video, error)
    log(f"all infer process done, cost:{time.perf_counter() - start:.0f}s")
    if unread:
        names = ", ".join(map(str, sorted(unread)))
        raise Incomplete(f"{len(unread)} of {len(sources)} files could not be read: {names}; everything else is done")


def infer_images(
    segmenter: Segmenter,
    images: Sequence[Source],
    classes: Classes,
    inference: InferenceConfig,
    log: Callable[[str], None],
    note: Callable[[Source, DataError], None],
) -> None:
    """The results of all images; `note` gets those that cannot be read. Raises UserError."""
    output = Path(inference.infer_output_path)

    def read(source: Source) -> tuple[np.ndarray, np.ndarray] | None:
        try:
            image = read_image(source.path)
        except DataError as error:
            note(source, error)
            return None
        return image, image

    def write(labelled: tuple[Source, np.ndarray, np.ndarray]) -> None:
        source, image, labels = labelled
        for ending, picture in paint(image, labels, classes, inference).items():
            write_png(output / f"{source.name}{ending}", picture)
        copy = output / source.place
        if inference.infer_copy_original_img and copy.resolve() != source.path.resolve():
            atomic_write(copy, lambda temporary: shutil.copyfile(source.path, temporary))

    pace = Pace(inference.infer_log_interval, len(images))
    written = prefetch(write, segmenter.run(images, read), segmenter.data.dataset_num_parallel_workers)
    for done, _ in enumerate(written, start=1):
        if (milliseconds := pace(done)) is not None:
            log(f"infer {done}/{len(images)} done, step cost:{milliseconds:.0f}ms")


def infer_video(
    segmenter: Segmenter, source: Source, classes: Classes, inference: InferenceConfig, log: Callable[[str], None]
) -> None:
    """A video's results, frame by frame, at its size and rate. Raises UserError; DataError if it cannot be read."""
    output, video = Path(inference.infer_output_path), Video(source.path)
    (height, width), pictures = video.size, pictures_of(inference)
    log(f"{source.path}: {height}×{width} pixels, {video.rate:g} frames a second; its results are without sound")
    if height % 2 or width % 2:
        log(f"{source.path}: an odd height or width is filled up with its last row or column repeated, as video formats want")
    with ExitStack() as stack:
        paths = {picture: output / f"{source.name}{VIDEO_ENDINGS[picture]}" for picture in pictures}
        writers = {picture: stack.enter_context(video_writer(path, video.rate, video.size)) for picture, path in paths.items()}

        def write(labelled: tuple[np.ndarray, None, np.ndarray]) -> None:
            frame, _, labels = labelled
            for ending, picture in paint(frame, labels, classes, inference).items():
                writers[ending](picture)

        labelled = segmenter.run(video.frames(), lambda frame: (frame, None))
        pace, done = Pace(inference.infer_log_interval, video.length), 0
        for done, _ in enumerate(prefetch(write, labelled, workers=1), start=1):  # two would change the order
            if (milliseconds := pace(done)) is not None:
                log(f"infer {source.path.name} frame {done}/{video.length} done, step cost:{milliseconds:.0f}ms")
    if done < video.length:
        log(f"{source.path}: only {done} of the {video.length} frames that it announces could be read")


def pictures_of(inference: InferenceConfig) -> list[str]:
    """The pictures, by their endings, that the switches ask for."""
    wanted = {
        GRAY: inference.infer_save_gray_img,
        COLOUR: inference.infer_save_color_img,
        OVERLAP: inference.infer_save_overlap_img,
    }
    return [ending for ending, switch in wanted.items() if switch]


def paint(image: np.ndarray, labels: np.ndarray, classes: Classes, inference: InferenceConfig) -> dict[str, np.ndarray]:
    """Class indices (H, W), colours and overlay (H, W, 3), as far as the switches ask for them."""
    colours = colourise(labels, classes)
    pictures = {GRAY: labels, COLOUR: colours, OVERLAP: overlay(image, colours)}
    return {ending: pictures[ending] for ending in pictures_of(inference)}


def check_results(sources: Sequence[Source], output: Path, inference: InferenceConfig) -> set[Path]:
    """Every source and result. Raises DataError if a result would overwrite another source or another's result."""
    owners = {source.path.parent.resolve() / source.path.name: source.path for source in sources}
    inputs = set(owners)
    for source in sources:
        endings = [VIDEO_ENDINGS[ending] if source.is_video else ending for ending in pictures_of(inference)]
        names = [Path(f"{source.name}{ending}") for ending in endings]
        if inference.infer_copy_original_img and not source.is_video:
            names.append(source.place)
        for name in names:
            path = (output / name).parent.resolve() / name.name
            owner = owners.setdefault(path, source.path)
            if owner == source.path:
                continue
            if path in inputs:
                raise DataError(
                    f"a result of {source.path} would overwrite {owner}, which is to be read as well; keep images and results in "
                    "folders of their own"
                )
            raise DataError(f"{owner} and {source.path} would both be written to {path}; rename one")
    return set(owners)


def write_legend(output: Path, classes: Classes, taken: set[Path], log: Callable[[str], None]) -> None:
    """The classes' names beside their colours, unless a source or result has that name."""
    path = output / LEGEND
    if path.resolve() in taken:
        log(f"no legend is written: {path} is an image of its own")
    else:
        write_png(path, legend(classes, LEGEND_WIDTH))
