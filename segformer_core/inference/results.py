"""The files that inference writes for an image or a video, under the original repository's names."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from segformer_core.config.keys import InferenceConfig
from segformer_core.data.dataset import Classes
from segformer_core.data.display import shown
from segformer_core.data.rows import place_of
from segformer_core.errors import DataError, UserError
from segformer_core.files import BLOCK_BYTES, atomic_write, temporary_name, writable_directory
from segformer_core.inference.neighbours import Arrays, Neighbours
from segformer_core.inference.row_files import png_writer, tiff_writer
from segformer_core.inference.sources import Source
from segformer_core.inference.video import Video, video_writer
from segformer_core.pictures import colourise, complaint, legend, outline_reach, overlay, write_png

GRAY, COLOUR, OVERLAP, CONFIDENCE = "_gray.png", "_color.png", "_overlap.png", "_confidence.png"
"""The endings of an image's results, which follow the image's name."""

TIFF_ENDINGS = {GRAY: "_gray.tif", COLOUR: "_color.tif", OVERLAP: "_overlap.tif", CONFIDENCE: "_confidence.tif"}
"""Ending of an image's result -> ending of the same result of a TIFF that is large or has a place on the earth."""

VIDEO_ENDINGS = {GRAY: "_gray.mkv", COLOUR: "_color.mp4", OVERLAP: "_overlap.mp4", CONFIDENCE: "_confidence.mkv"}
"""Ending of an image's result -> ending of the same result of a video."""

LEGEND, LEGEND_WIDTH = "legend.png", 640

LONGEST_NAME = 255
"""Bytes of a file's name that all file systems take."""


class Results:
    """The results of `sources`, in `infer_output_path`; an image there already is replaced.

    The constructor makes the folders. It raises UserError if one cannot be written, and DataError if a result would overwrite
    another source or another source's result. `refused` holds the sources whose results' names would be too long, each with
    its error.
    """

    def __init__(self, sources: Sequence[Source], classes: Classes, inference: InferenceConfig):
        self.sources, self.classes, self.inference = sources, classes, inference
        self.refused: dict[Source, DataError] = {}
        self.copies_images = inference.infer_copy_original_img
        self.endings = _endings(inference)
        self.folder = writable_directory(Path(inference.infer_output_path))
        self.taken = self._check_names()
        for source in sources:
            if too_long := self._too_long(source):
                self.refused[source] = DataError(too_long)
        for folder in sorted({(self.folder / source.place).parent for source in sources}):
            writable_directory(folder)

    @property
    def show_confidence(self) -> bool:
        """Whether a picture of the confidence is among the results."""
        return CONFIDENCE in self.endings

    def write(self, source: Source, image: np.ndarray, labels: np.ndarray, confidence: np.ndarray | None = None) -> None:
        """Write all results of an image, (H, W, C) as it was read, its (H, W) uint8 labels and, if it is shown, their confidence.

        That is (H, W) float32, 0..1. No image is copied onto itself.

        Raises DataError if the image cannot be copied because it is gone; UserError if a file cannot be written.
        """
        try:
            if source.gives_tiff:
                with self.write_rows(source, (image.shape[0], image.shape[1]), place_of(source.path), whole=True) as write:
                    write(image, labels, confidence)
            else:
                for ending, picture in self._pictures(image, labels, confidence).items():
                    write_png(self.folder / f"{source.name}{ending}", picture)
            self.copy(source)
        except UserError as error:
            if not self.folder.is_dir():
                raise UserError(f"folder {self.folder} was removed while its results were written; start again") from error
            raise

    def copy(self, source: Source) -> None:
        """Copy an image, unless onto itself. Raises DataError if it is gone, UserError if it cannot be written."""
        copy = self.folder / source.place
        if self.copies_images and copy.resolve() != source.path.resolve():
            try:
                file = source.path.open("rb")
            except OSError as error:
                raise DataError(f"cannot copy {source.path}: {error.strerror}; its other results are written") from error
            with file:
                atomic_write(copy, lambda temporary: _fill(temporary, file))

    @contextmanager
    def write_rows(
        self, source: Source, size: tuple[int, int], place: dict[str, Any], whole: bool = False
    ) -> Iterator[Callable[..., None]]:
        """A function that takes the next rows of an image of `size`, and their labels; the files appear when the context is left.

        TIFFs have the image's `place` on the earth. `whole`: all rows are given at once. Else no overlay is lifted, as each part
        would be by its own brightness; outlines are those of the whole.
        """
        with ExitStack() as stack:
            writers = {}
            for ending in self.endings:
                channels = 1 if ending in (GRAY, CONFIDENCE) else 3
                if source.gives_tiff:
                    path = self.folder / f"{source.name}{TIFF_ENDINGS[ending]}"
                    writers[ending] = stack.enter_context(tiff_writer(path, size, channels, place))
                else:
                    writers[ending] = stack.enter_context(png_writer(self.folder / f"{source.name}{ending}", size, channels))

            part_of = None if whole else size
            neighbours = Neighbours(outline_reach(size) if part_of and self.inference.infer_overlap_outlines else 0)

            def put(rows: Arrays, which: slice) -> None:
                image, labels, confidence = rows
                if which.stop > which.start:
                    for ending, picture in self._pictures(image, labels, confidence, part_of).items():
                        writers[ending](picture[which])

            def write(image: np.ndarray, labels: np.ndarray, confidence: np.ndarray | None = None) -> None:
                put(*neighbours.add(image, labels, confidence))

            yield write
            put(*neighbours.rest())

    @contextmanager
    def write_video(self, source: Source, video: Video) -> Iterator[Callable[[np.ndarray, np.ndarray, np.ndarray | None], None]]:
        """A function that takes what `write` takes of each frame, one by one; the files appear when the context is left."""
        with ExitStack() as stack:
            paths = {ending: self.folder / f"{source.name}{VIDEO_ENDINGS[ending]}" for ending in self.endings}
            writers = {ending: stack.enter_context(video_writer(path, video.rate, video.size)) for ending, path in paths.items()}

            def write(frame: np.ndarray, labels: np.ndarray, confidence: np.ndarray | None) -> None:
                for ending, picture in self._pictures(frame, labels, confidence).items():
                    writers[ending](picture)

            yield write

    def write_legend(self, log: Callable[[str], None]) -> None:
        """Write the classes' names and colours if colours are written, unless a source or result has the legend's name."""
        path = self.folder / LEGEND
        if not {COLOUR, OVERLAP} & set(self.endings):
            return
        if path.resolve() in self.taken:
            log(f"no legend is written: {path} is an image of its own")
        else:
            write_png(path, legend(self.classes, LEGEND_WIDTH))
            if undrawn := complaint(self.classes.names):
                log(f"{LEGEND} shows classes by their numbers: {undrawn}")

    def _pictures(
        self,
        image: np.ndarray,
        labels: np.ndarray,
        confidence: np.ndarray | None,
        part_of: tuple[int, int] | None = None,
    ) -> dict[str, np.ndarray]:
        """Ending -> class indices or confidence (H, W), colours or overlay (H, W, 3)."""
        alpha, outlines = self.inference.infer_overlap_alpha, self.inference.infer_overlap_outlines
        make: dict[str, Callable[[], np.ndarray]] = {
            GRAY: lambda: labels,
            COLOUR: lambda: colourise(labels, self.classes),
            OVERLAP: lambda: overlay(shown(image), labels, self.classes, alpha, outlines, part_of),
        }
        if confidence is not None:
            make[CONFIDENCE] = lambda: shades(confidence)
        return {ending: make[ending]() for ending in self.endings}

    def _check_names(self) -> set[Path]:
        """The paths of all sources and results. Raises DataError where two are the same."""
        owners = {source.path.parent.resolve() / source.path.name: source.path for source in self.sources}
        inputs = set(owners)
        for source in self.sources:
            for name in self._names(source):
                path = (self.folder / name).parent.resolve() / name.name
                owner = owners.setdefault(path, source.path)
                if owner == source.path:
                    continue
                if path in inputs:
                    raise DataError(
                        f"a result of {source.path} would overwrite {owner}, which is to be read as well; keep images and "
                        "results in folders of their own"
                    )
                raise DataError(f"{owner} and {source.path} would both be written to {path}; rename one")
        return set(owners)

    def _too_long(self, source: Source) -> str:
        """The sentence on a source whose results, or the temporary files that become them, have too long a name; else empty."""
        names = [temporary_name(self.folder / name, f"{os.getpid()}-frames").name for name in self._names(source)]
        excess = max((len(os.fsencode(name)) - LONGEST_NAME for name in names), default=0)
        own = len(os.fsencode(source.path.name))
        return f"{source.path} has a name of {own} bytes; expected at most {own - excess}: rename it" if excess > 0 else ""

    def _names(self, source: Source) -> list[Path]:
        """The results of one source, relative to the output folder."""
        other = VIDEO_ENDINGS if source.is_video else TIFF_ENDINGS if source.gives_tiff else {}
        endings = [other.get(ending, ending) for ending in self.endings]
        copies = [source.place] if self.copies_images and not source.is_video else []
        return [Path(f"{source.name}{ending}") for ending in endings] + copies


def _endings(inference: InferenceConfig) -> list[str]:
    """The pictures, by their endings, that the configuration asks for."""
    switches = {
        GRAY: inference.infer_save_gray_img,
        COLOUR: inference.infer_save_color_img,
        OVERLAP: inference.infer_save_overlap_img,
        CONFIDENCE: inference.infer_save_confidence_img,
    }
    return [ending for ending, switch in switches.items() if switch]


def _fill(path: Path, file: BinaryIO) -> None:
    """Copy an open file piece by piece."""
    with path.open("wb") as copy:
        shutil.copyfileobj(file, copy, BLOCK_BYTES)


def shades(confidence: np.ndarray) -> np.ndarray:
    """(H, W) float32, 0..1 -> (H, W) uint8, 0..255; 0 where it is no number."""
    return np.rint(255 * np.nan_to_num(confidence)).astype(np.uint8)
