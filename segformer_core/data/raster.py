"""Bands of TIFF and GeoTIFF files, through rasterio: any number of them, whole numbers and floats."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from segformer_core.data.image_bytes import ORIENTATION, tiff_values
from segformer_core.data.quiet import quiet_decoders
from segformer_core.errors import DataError, brief, install

LOGGER = "rasterio"
"""rasterio's own messages go there."""

MOST_VALUES = 2**33
"""Of one file; a damaged header may announce any size."""


def raster_values(data: bytes, source: object, gaps: bool) -> tuple[np.ndarray, int]:
    """The bytes of a TIFF -> (H, W, bands) as stored, and its orientation, 1..8. Raises DataError.

    `gaps`: of more than 8 bits the result is float32, NaN where the file says that there is no value (its nodata); else
    this is 0 in one of 16 bits.
    """
    with opened(data, source) as dataset:
        if dataset.height * dataset.width * dataset.count > MOST_VALUES:
            raise DataError(f"{source} has {dataset.height}×{dataset.width} pixels of {dataset.count} bands; cut it into parts")
        values = dataset.read()  # (bands, H, W)
        if gaps and values.dtype != np.uint8:
            missing = [None if nodata is None else values[band] == nodata for band, nodata in enumerate(dataset.nodatavals)]
            values = values.astype(np.float32)
            for band, where in enumerate(missing):
                if where is not None:
                    values[band][where] = np.nan
        else:
            blacken(values, dataset.nodatavals)
    return np.ascontiguousarray(values.transpose(1, 2, 0)), tiff_values(data, {ORIENTATION}).get(ORIENTATION, 1)


def hush_rasterio() -> None:
    """Its messages also come as exceptions, and a photo needs no place on the earth.

    For good: threads share the filters, so that none may take its own back.
    """
    from rasterio.errors import NotGeoreferencedWarning

    logging.getLogger(LOGGER).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


def blacken(bands: np.ndarray, nodata: Sequence[float | None]) -> None:
    """(bands, H, W) uint16, in place: what the file calls no value becomes 0, so that it is not the largest of all."""
    if bands.dtype == np.uint16:
        for band, value in zip(bands, nodata, strict=True):
            if value is not None:
                band[band == value] = 0


@contextmanager
def opened(data: bytes, source: object) -> Iterator[Any]:
    """rasterio's dataset of a TIFF in memory, so that no other file beside it is read. Raises DataError."""
    try:
        import rasterio
        from rasterio.errors import RasterioError
    except ImportError as error:
        raise DataError(f"{source} has bands that only rasterio reads, which is not installed: {install('raster')}") from error
    hush_rasterio()
    try:
        with quiet_decoders(), rasterio.MemoryFile(data, ext=".tif") as file, file.open(driver="GTiff") as dataset:
            yield dataset
    except RasterioError as error:
        raise DataError(f"{source} is damaged, or no TIFF that rasterio reads ({brief(str(error))}); replace it") from error
