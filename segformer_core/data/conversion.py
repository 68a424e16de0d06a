"""Makes Cityscapes' label images, *_gtFine_labelTrainIds.png, from *_gtFine_polygons.json or *_gtFine_labelIds.png.

cityscapesscripts draws the polygons; its table says which label id has which train id.
"""

import io
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from segformer_core.data.cityscapes import LABEL_IDS_SUFFIX, LABELS, POLYGONS_SUFFIX, TRAIN_IDS_SUFFIX, find_folder
from segformer_core.data.dataset import IGNORED, Classes, read_label
from segformer_core.data.image_bytes import is_complete
from segformer_core.data.image_file import MOST_PIXELS
from segformer_core.data.listing import entries, folders, is_folder
from segformer_core.errors import DataError, UserError
from segformer_core.files import atomic_write, special_file

LARGEST_BYTES = 2**24
"""Of a file of polygons; Cityscapes' longest is far below 1 MiB."""


@dataclass(frozen=True)
class Conversion:
    """The result for one annotation: it was converted now, was up to date (neither field set), or has an `error`."""

    annotation: Path
    converted: bool = False
    error: str = ""


def find_annotations(root: Path) -> list[Path]:
    """Every file of polygons below the dataset's gtFine, and each label id image that has none. Raises DataError if there is
    nothing."""
    if not is_folder(root):
        raise DataError(f"no such data path: {root}; give the folder that holds {LABELS}")
    folder = find_folder(root, LABELS) or root / LABELS
    cities = [city for split in folders(folder) for city in folders(split)]
    stems: dict[Path, Path] = {}
    for suffix in (LABEL_IDS_SUFFIX, POLYGONS_SUFFIX):  # polygons take the place of an image
        files = [path for city in cities for path in entries(city) if path.name.endswith(suffix)]
        stems |= {path.with_name(path.name.removesuffix(suffix)): path for path in files}
    if not stems:
        raise DataError(f"no polygons in {folder}; expected {{split}}/{{city}}/*{POLYGONS_SUFFIX} or *{LABEL_IDS_SUFFIX}")
    return [stems[stem] for stem in sorted(stems)]


def convert_all(annotations: list[Path], processes: int, force: bool = False) -> Iterator[Conversion]:
    """Convert the files that are not up to date, in no particular order. The next run finishes an interrupted one."""
    work = partial(_convert_whole, force=force)
    if processes == 1:
        yield from map(work, annotations)
        return
    with multiprocessing.get_context("spawn").Pool(min(processes, len(annotations)), end_after_the_file) as pool:
        yield from pool.imap_unordered(work, annotations, chunksize=4)
        pool.close()  # a worker that is ended by a signal at the moment when it goes to sleep may never wake
        pool.join()


BUSY, ASKED = threading.Lock(), threading.Event()
"""In a worker of the pool: whether it is at a file, and whether it was asked to end."""


def end_after_the_file() -> None:
    """How a worker of the pool takes signals: the main process ends it, after the file that it is writing."""
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all of its processes
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: ASKED.set() if BUSY.locked() else os._exit(128 + number))


def _convert_whole(annotation: Path, force: bool) -> Conversion:
    with BUSY:
        conversion = convert(annotation, force)
    if ASKED.is_set():
        os._exit(128 + signal.SIGTERM)
    return conversion


def convert(annotation: Path, force: bool = False) -> Conversion:
    """Write the label image beside its annotation, unless a newer and complete one is there."""
    drawn = annotation.name.endswith(POLYGONS_SUFFIX)
    suffix = POLYGONS_SUFFIX if drawn else LABEL_IDS_SUFFIX
    labels = annotation.with_name(annotation.name.removesuffix(suffix) + TRAIN_IDS_SUFFIX)
    try:
        if special := special_file(annotation):
            return Conversion(annotation, error=f"{annotation} is {special}; expected a file")
        if not force and annotation.exists() and _up_to_date(labels, annotation):
            return Conversion(annotation)
        atomic_write(labels, partial(draw_polygons if drawn else map_label_ids, annotation))
    except UserError as error:
        return Conversion(annotation, error=str(error))
    return Conversion(annotation, converted=True)


def draw_polygons(polygons: Path, path: Path) -> None:
    """Raises DataError if cityscapesscripts does not understand the polygons, or if they are too large."""
    from cityscapesscripts.preparation.json2labelImg import json2labelImg  # slow to import

    output = io.StringIO()
    _check_size(polygons)
    try:
        with redirect_stdout(output), redirect_stderr(output):
            json2labelImg(str(polygons), str(path), "trainIds")
    except OSError:  # the image cannot be written
        raise
    except (Exception, SystemExit) as error:  # cityscapesscripts exits on a label that it does not know
        why = (output.getvalue().strip() or f"{type(error).__name__}: {error}").splitlines()[0]
        raise DataError(f"{polygons} cannot be converted ({why}); download it again") from error


def _check_size(polygons: Path) -> None:
    """Raises DataError for a file, or an image that it asks for, beyond the bounds; cityscapesscripts has none."""
    try:
        with polygons.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot read {polygons}: {error.strerror}") from error
    if len(data) > LARGEST_BYTES:
        raise DataError(f"{polygons} has more than {LARGEST_BYTES >> 20} MiB; expected polygons of one image: download it again")
    try:
        content = json.loads(data)
        pixels = int(content["imgHeight"]) * int(content["imgWidth"])
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(f"{polygons} cannot be converted ({why}); download it again") from error
    if pixels > MOST_PIXELS:
        raise DataError(f"{polygons} asks for too large an image; expected at most {MOST_PIXELS:,} pixels: download it again")


def map_label_ids(label_ids: Path, path: Path) -> None:
    """Raises DataError for a label id that Cityscapes does not have."""
    from cityscapesscripts.helpers.labels import id2label

    ids = [number for number in id2label if number >= 0]
    train_ids = np.full(256, IGNORED, np.uint8)
    train_ids[ids] = [id2label[number].trainId for number in ids]
    known = Classes(tuple(id2label[number].name for number in ids), ())
    path.write_bytes(cv2.imencode(".png", cv2.LUT(read_label(label_ids, known), train_ids))[1].tobytes())


def _up_to_date(labels: Path, annotation: Path) -> bool:
    """Whether the labels are newer and complete: cityscapesscripts' own tool leaves half an image when it is interrupted."""
    if not labels.exists() or labels.stat().st_mtime < annotation.stat().st_mtime:
        return False
    return is_complete(labels.read_bytes())
