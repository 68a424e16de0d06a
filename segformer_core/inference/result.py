"""What a network says of an image: labels, probabilities, and what people make of them."""

import difflib
import filecmp
import json
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.config.keys import InferenceConfig
from segformer_core.data.classes import Classes
from segformer_core.data.display import shown
from segformer_core.data.histogram import histogram
from segformer_core.errors import DataError, brief, one_line
from segformer_core.inference.notebook import html
from segformer_core.inference.polygons import coordinates, regions
from segformer_core.inference.results import Results
from segformer_core.inference.sources import Source
from segformer_core.pictures import overlay, write_png

COPY = "_input.png"
"""The ending of the copy of an image that is no file: one of a result, which no photo is likely to have."""
NAME_ONE = 'save(folder, name="…")'
NAMED = 3
"""How many classes a line names."""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """An image and its labels; what takes time is computed when it is asked for, once.

    image       (H, W, C) uint8, of three channels RGB, or float32 on the scale 0..255: what was labelled
    labels      (H, W) uint8: the class of each pixel; 255 where infer_threshold leaves it open
    classes     names and colours of the classes
    source      the image's file, None if it was in memory
    name        begins the names of the files that `save` writes

    >>> result = network("street.jpg")
    >>> result.labels.shape, result.labels.dtype
    ((64, 128), dtype('uint8'))
    >>> bool((result.mask("car") == (result.labels == result.names.index("car"))).all())
    True
    """

    image: np.ndarray
    labels: np.ndarray
    classes: Classes
    source: Path | None
    name: str
    _probabilities: Callable[[], np.ndarray]
    _confidence: Callable[[], np.ndarray]
    _saved: MutableMapping[Path, Path | None] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names; their places are the labels."""
        return self.classes.names

    @property
    def palette(self) -> np.ndarray:
        """(256, 3) uint8 RGB by label, so that `result.palette[result.labels]` is a picture; black where there is no class."""
        return self.classes.palette()

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(K, H, W) float32: the probability of each class, 0..1, over all views and windows.

        The first time, the network sees the image again. The array takes 4 K H W bytes: of 19 classes at 1024×2048, 160 MB.

        >>> result.probabilities.shape, result.probabilities.dtype
        ((19, 64, 128), dtype('float32'))
        """
        return self._probabilities()

    @cached_property
    def confidence(self) -> np.ndarray:
        """(H, W) float32: the largest probability of each pixel, 1/K..1.

        The first time, the network sees the image again, unless it was called with `confidence=True`.

        >>> result.confidence.shape, result.confidence.dtype
        ((64, 128), dtype('float32'))
        """
        return self._confidence()

    @cached_property
    def areas(self) -> dict[str, float]:
        """Name of each class -> its share of the pixels, 0..1, in the order of the labels.

        >>> round(sum(result.areas.values()), 6)
        1.0
        """
        counts = histogram(self.labels)[: len(self.classes)] / self.labels.size
        return dict(zip(self.names, counts.tolist(), strict=True))

    def mask(self, *classes: str | int) -> np.ndarray:
        """(H, W) bool: the pixels of these classes, by name or by index. Raises DataError for one that there is not.

        >>> bool((result.mask("car", "truck") == (result.mask("car") | result.mask(14))).all())
        True
        """
        return np.isin(self.labels, [self._index(name) for name in classes])

    def overlay(self, alpha: float = 0.5, outlines: bool = True) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the classes' colours laid over the image.

        `alpha` 0 shows the image alone, 1 the colours alone; `outlines` draws the borders between the classes.

        >>> result.overlay(alpha=0.3).shape
        (64, 128, 3)
        """
        return overlay(shown(self.image), self.labels, self.classes, alpha, outlines)

    def save(self, folder: str | Path, name: str = "", confidence: bool = False) -> Path:
        """Write what `infer` writes into the folder, and return the folder: class indices `NAME_gray.png`, colours
        `NAME_color.png`, overlay `NAME_overlap.png`, a copy of the image, and `legend.png`; with `confidence` also
        `NAME_confidence.png`, 0..255.

        NAME is the file's, without its ending; of an image in memory `name`, else "image", or with its number where several are
        labelled, and its copy is `NAME_input.png`. Files with these endings are replaced, another image never. Raises DataError
        if another image was saved there under the same name, or lies there, and for a name that leaves the folder; UserError.
        """
        source, begins = self.source, name or self.name
        if Path(begins).name != begins or begins == "..":
            raise DataError(f"name is {brief(begins)}; expected the beginning of a file's name, without a folder")
        path = source or Path(f"{begins}{COPY}")
        place = Path(f"{begins}{path.suffix}") if source else path
        into = InferenceConfig(
            infer_output_path=str(folder), infer_copy_original_img=source is not None, infer_save_confidence_img=confidence
        )
        results = Results([Source(path, place, begins)], self.classes, into)
        for refused in results.refused.values():
            raise refused
        begun = results.folder.resolve() / begins
        own, copy = source and source.resolve(), results.folder / place
        if (owner := self._saved.get(begun, own)) != own:
            both = " and ".join(str(name or "an image in memory") for name in (owner, source))
            raise DataError(f"{both} would both be written to {results.folder / begins}_…; give one a name, as {NAME_ONE}")
        if own and begun not in self._saved and copy.is_file() and not filecmp.cmp(own, copy, shallow=False):
            raise DataError(f"{copy} is another image; save to another folder, or give a name, as {NAME_ONE}")
        self._saved[begun] = own
        results.write(results.sources[0], shown(self.image), self.labels, self.confidence if confidence else None)
        if source is None:
            write_png(results.folder / place, shown(self.image))
        results.write_legend(lambda _: None)
        return results.folder

    def polygons(self, *classes: str | int, smallest: int = 1, transform: Sequence[float] | None = None) -> list[dict[str, Any]]:
        """The regions of these classes, or of all, as GeoJSON features: polygons with holes, each enclosing exactly its pixels.

        Coordinates are pixels, x to the right and y down, (0, 0) the upper left corner of the image; with `transform`, such as
        rasterio's `dataset.transform`, those of a map. Regions of fewer than `smallest` pixels are left out. Properties: class,
        index, pixels. Pixels that touch at a corner only belong to two regions. Raises DataError.

        >>> {feature["geometry"]["type"] for feature in result.polygons()}
        {'Polygon'}
        """
        indices = [self._index(name) for name in classes] or list(range(len(self.names)))
        return [feature for index in indices for feature in self._features(index, smallest, transform)]

    def geojson(self, *classes: str | int, smallest: int = 1, transform: Sequence[float] | None = None) -> dict[str, Any]:
        """`polygons` as one FeatureCollection, which `json.dump` writes and a GIS opens.

        >>> result.geojson("car")["type"]
        'FeatureCollection'
        """
        return {"type": "FeatureCollection", "features": self.polygons(*classes, smallest=smallest, transform=transform)}

    def __repr__(self) -> str:
        height, width = self.size
        shares = sorted(self.areas.items(), key=lambda entry: -entry[1])
        there = [f"{one_line(name)} {share:.0%}" for name, share in shares if share]
        more = ", …" if len(there) > NAMED else ""
        return f"<Result {one_line(self.source or self.name)} {height}×{width}: {', '.join(there[:NAMED])}{more}>"

    def _repr_html_(self) -> str:
        """For notebooks: the overlay, and a table of the classes' colours, names and shares."""
        height, width = self.size
        title = f"{one_line(self.source or self.name)} · {height}×{width}"
        return html(title, self.overlay(), self.areas, self.classes.colours)

    def _features(self, index: int, smallest: int, transform: Sequence[float] | None) -> Iterator[dict[str, Any]]:
        for region in regions(self.labels == index, smallest):
            rings = [coordinates(region.outer, transform, outer=True)]
            rings += [coordinates(hole, transform, outer=False) for hole in region.holes]
            yield {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": rings},
                "properties": {"class": self.names[index], "index": index, "pixels": region.pixels},
            }

    def _index(self, name: str | int) -> int:
        """The label of a class. Raises DataError."""
        if isinstance(name, str) and name in self.names:
            return self.names.index(name)
        if isinstance(name, int | np.integer) and not isinstance(name, bool) and 0 <= name < len(self.names):
            return int(name)
        near = difflib.get_close_matches(name, self.names, n=1) if isinstance(name, str) else []
        known = ", ".join(f"{index} {name}" for index, name in enumerate(self.names))
        hint = f" (did you mean {json.dumps(near[0], ensure_ascii=False)}?)" if near else ""
        raise DataError(f"no class {name!r}{hint}; the classes are {known}")
