"""Labels images and videos and writes the results at their own size."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from segformer_core.data.ahead import prefetch
from segformer_core.data.image_file import read_image
from segformer_core.data.image_form import with_channels
from segformer_core.data.rows import opened_rows
from segformer_core.errors import DataError, UserError, one_line
from segformer_core.inference.results import Results
from segformer_core.inference.segmenter import Prepared, Segmenter
from segformer_core.inference.sources import Source
from segformer_core.inference.video import Video
from segformer_core.memory import OutOfMemory, memory_for
from segformer_core.pace import Pace, rounded

T = TypeVar("T")


class Incomplete(UserError):
    """Some files have not all their results; those of all others are there. The command exits with 1."""


SECONDS_BETWEEN_LINES = 5
"""On a large image: a row of windows may take less."""

ROWS_AT_ONCE = 256
"""Of a large image's results: colours and overlays of more would take more memory than the labels do."""

NAMED = 10
"""How many files the last sentence names; the log names all."""

Answer = tuple[np.ndarray, np.ndarray | None]
"""(H, W) uint8 labels of an image, and (H, W) float32 their confidence, if it is to be shown."""


def infer(segmenter: Segmenter, results: Results, log_interval: int, log: Callable[[str], None]) -> None:
    """Label every image, then every video, and write the results; images are read ahead and results written in threads.

    Raises UserError if a result cannot be written. A source that is unreadable, or too large for the memory, is logged and
    skipped; if there was one, Incomplete is raised at the end.
    """
    stills = [source for source in results.sources if not source.is_video and source not in results.refused]
    large = [source for source in stills if source.is_large]
    images = [source for source in stills if not source.is_large]
    videos = [source for source in results.sources if source.is_video and source not in results.refused]
    sizes = f"get image size:{len(stills)}" + (f", videos:{len(videos)}" if videos else "")
    log(f"{sizes}, infer result will save to {results.folder.resolve()}")
    start = time.perf_counter()
    results.write_legend(log)
    unread: set[Path] = set()

    def pass_over(source: Source, error: UserError) -> None:
        log(str(error) if source.shown in str(error) else f"{source.shown}: {error}")
        unread.add(source.path)

    for source, error in results.refused.items():
        pass_over(source, error)
    infer_images(segmenter, images, results, log_interval, log, pass_over)
    for source in large:
        try:
            infer_large(segmenter, source, results, log)
        except (DataError, OutOfMemory) as error:
            pass_over(source, error)
    for video in videos:
        try:
            infer_video(segmenter, video, results, log_interval, log)
        except (DataError, OutOfMemory) as error:
            pass_over(video, error)
    log(f"all infer process done, cost:{rounded(time.perf_counter() - start)}s")
    if unread:
        names = ", ".join(one_line(path) for path in sorted(unread)[:NAMED])
        names += f" and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
        raise Incomplete(f"{len(unread)} of {len(results.sources)} files could not be read: {names}; everything else is done")


def answering(segmenter: Segmenter, results: Results) -> Callable[[Sequence[Prepared], Sequence[object]], Iterable[Answer]]:
    """What `Segmenter.run` calls for each batch, so that `results` gets all that it shows."""

    def answers(batch: Sequence[Prepared], _: Sequence[object]) -> Iterable[Answer]:
        if results.show_confidence:
            return zip(*segmenter.labels_and_confidences(batch), strict=True)
        return ((labels, None) for labels in segmenter.label(batch))

    return answers


def infer_images(
    segmenter: Segmenter,
    images: Sequence[Source],
    results: Results,
    log_interval: int,
    log: Callable[[str], None],
    pass_over: Callable[[Source, UserError], None],
) -> None:
    """Write the results of all images; `pass_over` is called for each one that cannot be read. Raises UserError."""

    def read(source: Source) -> tuple[np.ndarray, np.ndarray] | None:
        try:
            with memory_for("the image", "make it smaller"):
                image = read_image(source.path, segmenter.form)
        except DataError as error:
            pass_over(source, error)
            return None
        return image, image

    def write(labelled: tuple[Source, np.ndarray, Answer]) -> None:
        source, image, answer = labelled
        try:
            with memory_for("its results", "make the image smaller"):
                results.write(source, image, *answer)
        except (DataError, OutOfMemory) as error:
            pass_over(source, error)

    pace = Pace(log_interval, len(images))
    with _bar("infer", len(images), "image") as bar:
        labelled = _shown(segmenter.run(images, read, pass_over, label=answering(segmenter, results)), bar)
        written = prefetch(write, labelled, segmenter.data.dataset_num_parallel_workers)
        for count, _ in enumerate(written, start=1):
            if (milliseconds := pace(count)) is not None:
                log(f"infer {count}/{len(images)} done, step cost:{rounded(milliseconds)}ms")


def _bar(what: str, total: int, unit: str) -> tqdm:
    """A bar with the rate and the time left, if standard error is a terminal; without an end if `total` is not positive."""
    return tqdm(desc=what, total=total, unit=unit, leave=False, dynamic_ncols=True, disable=None)


def _shown(labelled: Iterable[T], bar: tqdm) -> Iterator[T]:
    """The items; the bar moves with each, before it is written: the last of them are written together."""
    for item in labelled:
        bar.update()
        yield item


def infer_large(segmenter: Segmenter, source: Source, results: Results, log: Callable[[str], None]) -> None:
    """Write the results of an image row by row, as its labels are finished. Raises UserError; DataError if it is unreadable."""
    start = said = time.perf_counter()
    with memory_for("the image", "make it smaller"), opened_rows(source.path, segmenter.form) as image:
        height, width = image.size
        log(f"{source.shown}: {height}×{width} pixels, labelled by rows")
        with results.write_rows(source, image.size, image.place) as write:
            for top, labels, confidence, pixels in segmenter.bands(image, results.show_confidence):
                for row in range(0, len(labels), ROWS_AT_ONCE):
                    few = slice(row, row + ROWS_AT_ONCE)
                    write(pixels[few], labels[few], None if confidence is None else confidence[few])
                done, now = top + len(labels), time.perf_counter()
                if done == height or now - said >= SECONDS_BETWEEN_LINES:
                    left = (now - start) / done * (height - done)
                    log(f"infer {one_line(source.path.name)} rows {done}/{height}, {duration(left)} left")
                    said = now
    results.copy(source)


def duration(seconds: float) -> str:
    """In words: "40 s", "3 min", "2 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def infer_video(segmenter: Segmenter, source: Source, results: Results, log_interval: int, log: Callable[[str], None]) -> None:
    """Write a video's results, at its size and frame rate. Raises UserError; DataError if the video cannot be read."""
    video = Video(source.path)
    height, width = video.size
    log(f"{source.shown}: {height}×{width} pixels, {video.rate:g} frames a second; its results are without sound")
    if height % 2 or width % 2:
        log(f"{source.shown}: its height or width is odd; the results repeat the last row or column, as videos need even sizes")
    pace, count = Pace(log_interval, video.length), 0
    with results.write_video(source, video) as write, _bar(one_line(source.path.name), video.length, "frame") as bar:
        channels, label = segmenter.form.channels, answering(segmenter, results)
        frames = video.frames()
        labelled = segmenter.run(frames, lambda frame: (with_channels(frame, channels, source.shown), None), label=label)
        labelled = _shown(labelled, bar)
        written = prefetch(lambda item: write(item[0], *item[2]), labelled, workers=1)  # two threads would change the order
        for count, _ in enumerate(written, start=1):
            if (milliseconds := pace(count)) is not None:
                log(f"infer {one_line(source.path.name)} frame {count}/{video.length} done, step cost:{rounded(milliseconds)}ms")
    if count < video.length:
        log(f"{source.shown}: only {count} of the {video.length} frames that it announces could be read")
