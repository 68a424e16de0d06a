"""Makes Cityscapes' label images with cityscapesscripts: *_gtFine_polygons.json -> *_gtFine_labelTrainIds.png."""

import io
import multiprocessing
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segformer_core.data.cityscapes import LABELS, POLYGONS_SUFFIX, TRAIN_IDS_SUFFIX
from segformer_core.data.image_file import is_complete
from segformer_core.errors import DataError, UserError
from segformer_core.files import atomic_write


@dataclass(frozen=True)
class Conversion:
    """The result for one file of polygons: it was converted now, was up to date (neither field set), or has an `error`."""

    polygons: Path
    converted: bool = False
    error: str = ""


def find_polygons(root: Path) -> list[Path]:
    """Every file of polygons below the dataset's gtFine. Raises DataError if there are none."""
    if not root.is_dir():
        raise DataError(f"no such data path: {root}; give the folder that holds {LABELS}")
    polygons = sorted((root / LABELS).glob(f"*/*/*{POLYGONS_SUFFIX}"))
    if not polygons:
        raise DataError(f"no polygons in {root / LABELS}; expected {{split}}/{{city}}/*{POLYGONS_SUFFIX}")
    return polygons


def convert_all(polygons: list[Path], processes: int, force: bool = False) -> Iterator[Conversion]:
    """Convert the files that are not up to date, in no particular order. The next run finishes an interrupted one."""
    work = partial(convert, force=force)
    if processes == 1:
        yield from map(work, polygons)
        return
    with multiprocessing.get_context("spawn").Pool(min(processes, len(polygons))) as pool:
        yield from pool.imap_unordered(work, polygons, chunksize=4)


def convert(polygons: Path, force: bool = False) -> Conversion:
    """Write the label image beside its polygons, unless a newer and complete one is there."""
    labels = polygons.with_name(polygons.name.removesuffix(POLYGONS_SUFFIX) + TRAIN_IDS_SUFFIX)
    if not force and polygons.exists() and _up_to_date(labels, polygons):
        return Conversion(polygons)
    from cityscapesscripts.preparation.json2labelImg import json2labelImg  # slow to import

    output = io.StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(output):
            atomic_write(labels, lambda temporary: json2labelImg(str(polygons), str(temporary), "trainIds"))
    except UserError as error:
        return Conversion(polygons, error=str(error))
    except (Exception, SystemExit) as error:  # cityscapesscripts exits on a label that it does not know
        why = (output.getvalue().strip() or f"{type(error).__name__}: {error}").splitlines()[0]
        return Conversion(polygons, error=f"{polygons} cannot be converted ({why}); download it again")
    return Conversion(polygons, converted=True)


def _up_to_date(labels: Path, polygons: Path) -> bool:
    """Whether the labels are newer and complete: cityscapesscripts' own tool leaves half an image when it is interrupted."""
    if not labels.exists() or labels.stat().st_mtime < polygons.stat().st_mtime:
        return False
    return is_complete(labels.read_bytes())
