"""Large images, read by rows where the file allows it: tiled and striped TIFFs, through rasterio; others are decoded at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from segformer_core.data.header import Header, read_header
from segformer_core.data.image_bytes import TIFF_GRAY, TIFF_RGB
from segformer_core.data.image_file import MOST_PIXELS, read_image
from segformer_core.data.image_form import FAR_BELOW, GRAY, RGB, ImageForm, check_depth, on_scale, with_channels
from segformer_core.data.quiet import quiet_decoders
from segformer_core.data.raster import blacken, hush_rasterio
from segformer_core.errors import DataError, brief, install
from segformer_core.memory import check_fits

LARGE = 2**24
"""Pixels of an image that is read and written by rows: as the network takes it, one of 4096×4096 pixels has 200 MB."""

TIFF_YCBCR = 6
"""What a TIFF's values mean, its tag COLOURS: GDAL makes RGB of them."""

UNASSOCIATED = 2
"""Of a TIFF's fourth channel: the colours are not multiplied by it yet."""

LARGEST_BLOCK = 2**28
"""Bytes of a TIFF's tiles side by side, or of a strip: what is decoded at once."""

ROWS_AT_ONCE = 256
"""That are decoded together, as their decoder keeps a copy of its own."""

CACHE_BYTES = 2**25
ALONE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_CACHEMAX": CACHE_BYTES,
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{noext}",
}
"""Settings of GDAL: of a stranger's file it reads that file alone, none beside it and none of the network."""

VIRTUAL = "/vsi"
"""How paths begin that GDAL looks up elsewhere: in an archive, in memory, in the network."""


class Rows(Protocol):
    """An image of `size` (height, width). `place` is where it lies on the earth, in rasterio's words; empty if nowhere."""

    size: tuple[int, int]
    place: dict[str, Any]

    def read(self, top: int, bottom: int) -> np.ndarray:
        """(bottom - top, W, C), as `read_image` gives the whole. Raises DataError."""

    def whole(self) -> np.ndarray:
        """(H, W, C). Raises DataError."""


@dataclass
class ArrayRows:
    """The rows of an (H, W, C) array."""

    image: np.ndarray

    def __post_init__(self) -> None:
        self.size = self.image.shape[0], self.image.shape[1]
        self.place: dict[str, Any] = {}

    def read(self, top: int, bottom: int) -> np.ndarray:
        return self.image[top:bottom]

    def whole(self) -> np.ndarray:
        return self.image


class Sliding:
    """The rows of an image from some row on, kept until they are forgotten: of a band, and of the windows that end below it."""

    def __init__(self, source: Rows):
        self.source, self.first = source, 0
        self.kept: np.ndarray | None = None

    def read(self, top: int, bottom: int) -> np.ndarray:
        """(bottom - top, W, C), of rows that are not forgotten."""
        if isinstance(self.source, ArrayRows):
            return self.source.read(top, bottom)
        end = self.first + (0 if self.kept is None else len(self.kept))
        if self.kept is None or bottom > end:
            pieces = [] if self.kept is None else [self.kept]
            self.kept = None
            for row in range(end, bottom, ROWS_AT_ONCE):
                pieces.append(self.source.read(row, min(row + ROWS_AT_ONCE, bottom)))
            self.kept = np.concatenate(pieces)
        return self.kept[top - self.first : bottom - self.first]

    def forget(self, top: int) -> None:
        """The rows above `top` are not asked for any more."""
        if self.kept is not None:
            self.kept, self.first = self.kept[top - self.first :].copy(), top


class TiffRows:
    """The rows of an open dataset of rasterio."""

    def __init__(self, path: Path, dataset: Any, form: ImageForm, premultiplied: bool):
        self.path, self.dataset, self.form, self.premultiplied = path, dataset, form, premultiplied
        self.size: tuple[int, int] = (dataset.height, dataset.width)
        self.place = placed(dataset)

    def check_depth(self) -> None:
        """Raise RangeQuestion as `read_image` does of the whole: the rows are read until one has a value of 15 bits or more."""
        if self.form.range is not None or self.dataset.dtypes[0] != "uint16":
            return
        largest = 0
        for top in range(0, self.size[0], ROWS_AT_ONCE):
            largest = max(largest, int(self._stored(top, min(top + ROWS_AT_ONCE, self.size[0])).max()))
            if largest >= FAR_BELOW:
                return
        check_depth(largest, self.path)

    def _stored(self, top: int, bottom: int) -> np.ndarray:
        """(C, bottom - top, W), as the file has them. Raises DataError."""
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        try:
            with quiet_decoders():
                values: np.ndarray = self.dataset.read(window=Window(0, top, self.size[1], bottom - top))
        except RasterioError as error:
            raise DataError(
                f"{self.path} is damaged between rows {top} and {bottom} ({brief(str(error))}); replace it"
            ) from error
        if self.form.range is None and self.form.channels not in (GRAY, RGB.channels):
            blacken(values, self.dataset.nodatavals)
        return values

    def read(self, top: int, bottom: int) -> np.ndarray:
        image = np.ascontiguousarray(self._stored(top, bottom).transpose(1, 2, 0))
        if self.form.range is not None and image.dtype != np.uint8:
            return with_channels(on_scale(self._without_gaps(image), self.form, self.path), self.form.channels, self.path)
        if image.dtype == np.uint16:
            image = (image >> 8).astype(np.uint8)
        if self.form == RGB and image.shape[2] == 4:
            image = image[..., :3] if self.premultiplied else _multiplied(image)
        return np.ascontiguousarray(with_channels(image, self.form.channels, self.path))

    def _without_gaps(self, image: np.ndarray) -> np.ndarray:
        """float32, NaN where the file says that there is no value."""
        values = image.astype(np.float32)
        for band, nodata in enumerate(self.dataset.nodatavals):
            if nodata is not None:
                values[..., band][image[..., band] == nodata] = np.nan
        return values

    def whole(self) -> np.ndarray:
        height, width = self.size
        if height * width > MOST_PIXELS:
            raise DataError(
                f"{self.path} has {height}×{width} pixels, more than are resized at once ({MOST_PIXELS:,}); label it at its own "
                "size with --eval_mode native, or cut it into parts"
            )
        stored = self.dataset.count * np.dtype(self.dataset.dtypes[0]).itemsize
        shown = self.form.channels * (1 if self.form.range is None else np.dtype(np.float32).itemsize)
        what = f"an image of {height}×{width} pixels"
        check_fits(
            (stored + shown) * height * width, what, "label it at its own size with --eval_mode native, or make it smaller"
        )
        return read_image(self.path, self.form)


def placed(dataset: Any) -> dict[str, Any]:
    """What rasterio writes to say where a dataset lies: its CRS and transform, or its ground control points."""
    points, system = dataset.gcps
    if points:
        return {"gcps": points, "crs": system}
    place = {} if dataset.transform.is_identity else {"transform": dataset.transform}
    return place | ({"crs": dataset.crs} if dataset.crs else {})


def place_of(path: Path) -> dict[str, Any]:
    """Where a TIFF lies on the earth. Raises DataError."""
    with opened_tiff(path) as dataset:
        return placed(dataset)


@contextmanager
def opened_rows(path: Path, form: ImageForm = RGB) -> Iterator[Rows]:
    """The rows of an image file: of a TIFF as they are asked for, of another file decoded at once. Raises DataError.

    The values are those of `read_image`.
    """
    header = read_header(path)
    if header is None or header.tiff is None or not by_rows(header, form):
        if header:
            what = f"an image of {header.size[0]}×{header.size[1]} pixels"
            check_fits(2 * form.channels * header.pixels, what, "make it smaller, or a tiled TIFF, which is read by rows")
        if header and header.tiff and header.pixels > MOST_PIXELS and not has_rasterio():
            raise DataError(f"{path} is too large to be decoded at once, and rasterio is not installed: {install('raster')}")
        yield ArrayRows(read_image(path, form))
        return
    with opened_tiff(path) as dataset:
        block = dataset.block_shapes[0][0] * dataset.width * dataset.count * np.dtype(dataset.dtypes[0]).itemsize
        if block > LARGEST_BLOCK and header.pixels <= MOST_PIXELS:
            yield ArrayRows(read_image(path, form))
        else:
            rows = TiffRows(path, dataset, form, header.tiff.alpha != UNASSOCIATED)
            rows.check_depth()
            yield rows


def by_rows(header: Header, form: ImageForm) -> bool:
    """Whether a TIFF's rows are read as they are asked for: `read_image` gives the same, or cannot read so large a file."""
    tiff = header.tiff
    if tiff is None or tiff.orientation != 1 or not has_rasterio():
        return False
    depth = tiff.kind == "uint" and tiff.bits in (8, 16)
    if form == RGB:
        plain = (tiff.channels, tiff.colours) in ((1, TIFF_GRAY), (3, TIFF_RGB)) and depth
        plain = plain or ((tiff.channels, tiff.colours) == (4, TIFF_RGB) and depth and tiff.bits == 8)
        large = header.pixels > MOST_PIXELS and tiff.colours in (TIFF_GRAY, TIFF_RGB, TIFF_YCBCR)
        return plain or (large and tiff.channels in (1, 3) and depth)
    return tiff.channels == form.channels and tiff.colours in (TIFF_GRAY, TIFF_RGB) and (depth or form.range is not None)


def has_rasterio() -> bool:
    try:
        import rasterio  # noqa: F401
    except ImportError:
        return False
    return True


@contextmanager
def opened_tiff(path: Path) -> Iterator[Any]:
    """rasterio's dataset of a TIFF file. Raises DataError."""
    from rasterio.errors import RasterioError

    try:
        dataset = tiff_dataset(path)
    except (RasterioError, UnicodeError) as error:
        raise DataError(f"{path} is damaged, or no TIFF that rasterio opens ({brief(str(error))}); replace it") from error
    with gdal_settings(), dataset:
        yield dataset


def tiff_dataset(path: Path, mode: str = "r", **profile: Any) -> Any:
    """A file opened by the driver of TIFFs alone. Raises RasterioError."""
    import rasterio

    absolute = path.resolve()
    if str(absolute).startswith(VIRTUAL):
        raise DataError(f"{path} begins as GDAL's names of other things do; move it")
    hush_rasterio()
    with gdal_settings(), quiet_decoders():
        return rasterio.open(absolute, mode, driver="GTiff", **profile)


def gdal_settings() -> Any:
    """The context in which GDAL has the settings of ALONE."""
    import rasterio

    return rasterio.Env(**ALONE)


def _multiplied(image: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 -> (H, W, 3) uint8: the colours times alpha, rounded as libtiff does."""
    products = image[..., :3].astype(np.uint16)
    products *= image[..., 3:]
    products += 127
    return (products // 255).astype(np.uint8)
