"""labelme's JSON: one file for each image, with shapes and, in many files, the image itself."""

import base64
import binascii
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from segformer_core.data.draft import Class
from segformer_core.data.image_bytes import JPEG, PNG, is_complete
from segformer_core.data.image_file import IMAGE_SUFFIXES
from segformer_core.data.listing import entries, is_folder, passed_over
from segformer_core.errors import DataError
from segformer_core.making.classes import checked_classes
from segformer_core.making.example import Example, Found, Region
from segformer_core.making.json_file import Place, read_object
from segformer_core.making.labelme_shapes import AS_LINES, LINE_WIDTH, POINT_RADIUS, drawn
from segformer_core.making.pairing import SPLIT_NAMES, split_folders

BACKGROUND, IGNORE = "_background_", "__ignore__"
"""Labels that labelme's own scripts treat so: not annotated, and not to count."""
LONGEST_SIDE = 2**20
KINDS = {JPEG: ".jpg", PNG: ".png"}
"""How an image begins that labelme stores in its file -> its ending."""


@dataclass(frozen=True, eq=False)
class LabelmeDrawing:
    """The shapes of one file."""

    source: Path
    size: tuple[int, int] | None
    shapes: tuple[dict[str, Any], ...]

    @property
    def empty(self) -> bool:
        return not self.shapes

    def regions(self, height: int, width: int) -> list[Region]:
        place = Place(self.source)["shapes"]
        regions = []
        for index, shape in enumerate(self.shapes):
            regions.append(Region(shape["label"], partial(drawn, shape, place[index], height, width)))
        return regions


@dataclass(frozen=True)
class LabelmeImage:
    """The image inside a file of annotations."""

    source: Path
    suffix: str

    def read(self) -> bytes:
        return _image_data(read_object(self.source)["imageData"], self.source)


def find_labelme(folder: Path, images: Path | None, split: str = "") -> Found:
    """The annotated images of a folder, or of its folders train and val. The images lie beside the files, or in `images`.

    Raises DataError with the file and the place of a mistake.
    """
    if not is_folder(folder):
        raise DataError(f"no such folder: {folder}; give the one that holds labelme's files")
    parts = {} if split else split_folders(folder)
    if len(parts) == len(SPLIT_NAMES):
        found = [_of_folder(part, images, split) for split, part in parts.items()]
        what = "split as they lie"
    else:
        found = [_of_folder(folder, images, split)]
        what = f"in {folder}"
    used = frozenset().union(*(each.used for each in found))
    names = [name for name in (BACKGROUND, *sorted(used - {BACKGROUND, IGNORE})) if name in used]
    classes = checked_classes([Class(name) for name in names], str(folder)) if names else ()
    return Found(
        tuple(example for each in found for example in each.examples),
        f"labelme's annotations {what}",
        tuple(note for each in found for note in each.notes),
        classes,
        used,
    )


def _of_folder(folder: Path, images: Path | None, split: str) -> Found:
    there = entries(folder)
    files = [path for path in there if path.suffix.lower() == ".json" and not is_folder(path)]
    if not files:
        raise DataError(f"no annotations in {folder}; expected labelme's files, ending in .json")
    examples: dict[str, Example] = {}
    of_image: dict[Path, Path] = {}
    used: set[str] = set()
    lines = 0
    for path in files:
        content = read_object(path)
        drawing = _drawing(path, content)
        image = _image(path, content, images or folder)
        if isinstance(image, Path) and of_image.setdefault(image, path) != path:
            raise DataError(f"{of_image[image]} and {path} both annotate {image}; keep one")
        name = image.stem if isinstance(image, Path) else path.stem
        if name in examples:
            raise DataError(f"{path} and another file give an image of the name {name}; rename one")
        examples[name] = Example(name, image, drawing, split)
        used |= {shape["label"] for shape in drawing.shapes}
        lines += sum(shape["shape_type"] in AS_LINES for shape in drawing.shapes)
    left = [path for path in entries(images or folder) if path.suffix.lower() in IMAGE_SUFFIXES and path not in of_image]
    notes = [passed_over(left, f"in {images or folder} that no annotation names")] if left else []
    if lines:
        notes.append(
            f"lines and points: {lines}, drawn as labelme draws them, {LINE_WIDTH} pixels wide and as "
            f"discs of radius {POINT_RADIUS}"
        )
    return Found(tuple(examples.values()), "", tuple(notes), (), frozenset(used))


def _drawing(path: Path, content: dict[str, Any]) -> LabelmeDrawing:
    place = Place(path)
    if "shapes" not in content or "imagePath" not in content:
        other = "; a COCO file is given as --coco FILE" if "annotations" in content else ""
        raise DataError(f"{path} is no file of labelme's: it has no shapes and imagePath{other}")
    shapes = []
    for index, value in enumerate(place["shapes"].entries(content["shapes"])):
        here = place["shapes"][index]
        shape = here.mapping(value)
        label = here["label"].text(shape.get("label"))
        kind = shape.get("shape_type") or "polygon"  # files of version 2 do not say it
        shapes.append({"label": label, "shape_type": kind, "points": shape.get("points"), "mask": shape.get("mask")})
    sides = [content.get(side) for side in ("imageHeight", "imageWidth")]
    if None in sides:  # as files before version 3.16
        return LabelmeDrawing(path, None, tuple(shapes))
    height, width = (place[side].integer(content[side], 1, LONGEST_SIDE) for side in ("imageHeight", "imageWidth"))
    return LabelmeDrawing(path, (height, width), tuple(shapes))


def _image(path: Path, content: dict[str, Any], folder: Path) -> Path | LabelmeImage:
    """The image's file if it is there, else the image inside the annotations. Raises DataError if there is neither."""
    place = Place(path)["imagePath"]
    text = place.text(content["imagePath"])
    data = content.get("imageData")
    name = text.replace("\\", "/").rpartition("/")[2]  # the way from the annotations to the image is not followed
    if name not in ("", "..") and (folder / name).is_file():
        return folder / name
    if data is None:
        raise DataError(f"{path} is for {text}, and {name} is not in {folder}; give the folder of images as --images DIR")
    head = _image_data(data, path)
    suffix = next((ending for mark, ending in KINDS.items() if head.startswith(mark)), "")
    if not suffix:
        raise DataError(f"{path} holds an image of an unknown kind in imageData; expected JPEG or PNG")
    return LabelmeImage(path, suffix)


def _image_data(data: object, path: Path) -> bytes:
    try:
        content = base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except (binascii.Error, ValueError):
        content = b""
    if not is_complete(content):
        raise DataError(f"{path} holds no whole image in imageData; save it again, or put the image beside it")
    return content
