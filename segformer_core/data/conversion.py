"""Cityscapes' polygons to label images: *_gtFine_polygons.json -> *_gtFine_labelTrainIds.png, by cityscapesscripts."""

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
    """One file of polygons: whether it was converted, or was up to date, or what was wrong with it."""

    polygons: Path
    converted: bool = False
    error: str = ""


def find_polygons(root: Path) -> list[Path]:
    """Every file of polygons below the dataset's gtFine. Raises DataError if there are none."""
    if not root.is_dir():
        raise DataError(f"no such data path: {root}; give the folder that holds {LABELS}")
    found = sorted((root / LABELS).glob(f"*/*/*{POLYGONS_SUFFIX}"))
    if not found:
        raise DataError(f"no polygons in {root / LABELS}; expected {{split}}/{{city}}/*{POLYGONS_SUFFIX}")
    return found


def convert_all(polygons: list[Path], processes: int, force: bool = False) -> Iterator[Conversion]:
    """Convert what is not up to date, in no particular order; an interrupted run is finished by the next."""
    work = partial(convert, force=force)
    if processes == 1:
        yield from map(work, polygons)
        return
    with multiprocessing.get_context("spawn").Pool(min(processes, len(polygons))) as pool:
        yield from pool.imap_unordered(work, polygons, chunksize=4)


def convert(polygons: Path, force: bool = False) -> Conversion:
    """Write the label image beside its polygons unless it is there, newer and whole."""
    labels = polygons.with_name(polygons.name.removesuffix(POLYGONS_SUFFIX) + TRAIN_IDS_SUFFIX)
    if not force and polygons.exists() and _up_to_date(labels, polygons):
        return Conversion(polygons)
    from cityscapesscripts.preparation.json2labelImg import json2labelImg  # slow to import: only where work is done

    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            atomic_write(labels, lambda temporary: json2labelImg(str(polygons), str(temporary), "trainIds"))
    except UserError as error:
        return Conversion(polygons, error=str(error))
    except (Exception, SystemExit) as error:  # cityscapesscripts exits on a label that it does not know
        why = (said.getvalue().strip() or f"{type(error).__name__}: {error}").splitlines()[0]
        return Conversion(polygons, error=f"{polygons} cannot be converted ({why}); download it again")
    return Conversion(polygons, converted=True)


def _up_to_date(labels: Path, polygons: Path) -> bool:
    """cityscapesscripts' own tool, interrupted, leaves half an image: newer alone is not enough."""
    if not labels.exists() or labels.stat().st_mtime < polygons.stat().st_mtime:
        return False
    return is_complete(labels.read_bytes())
