"""COCO's JSON: images, categories and annotations with polygons or run lengths."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segformer_core.data.draft import Class
from segformer_core.data.image_file import IMAGE_SUFFIXES, MOST_PIXELS
from segformer_core.data.listing import entries, is_folder, passed_over
from segformer_core.errors import DataError
from segformer_core.making.classes import checked_classes
from segformer_core.making.coco_masks import area, decoded, encoded, library
from segformer_core.making.example import Example, Found, Region
from segformer_core.making.inside import find_image, relative, short_names
from segformer_core.making.json_file import Place, read_object

SECTIONS = ("images", "categories", "annotations")
LONGEST_SIDE = 2**20
OTHER_KINDS = {
    "shapes": "is labelme's; give its folder as --labelme DIR",
    "imgHeight": "is Cityscapes'; see segformer convert_dataset",
    "_via_img_metadata": "is VIA's; export it as COCO",
}
"""A key that another tool's file has, and what to do with it."""


@dataclass(frozen=True, eq=False)
class CocoDrawing:
    """The annotations of one image, each with its number in the file."""

    source: Path
    size: tuple[int, int]
    annotations: tuple[tuple[int, dict[str, Any]], ...]
    names: Mapping[int, str]

    @property
    def empty(self) -> bool:
        return not self.annotations

    def regions(self, height: int, width: int) -> list[Region]:
        return [self._region(*each, height, width) for each in self.annotations]

    def _region(self, number: int, annotation: dict[str, Any], height: int, width: int) -> Region:
        place = Place(self.source)["annotations"][number]["segmentation"]
        runs = encoded(annotation["segmentation"], place, height, width)
        name = self.names[annotation["category_id"]]
        return Region(name, lambda: decoded(runs), area(runs), bool(annotation.get("iscrowd")))


def find_coco(path: Path, images: Path, split: str = "") -> Found:
    """The images of a file of annotations, which lie below a folder. Raises DataError with the place of a mistake."""
    library()
    if not is_folder(images):
        raise DataError(f"no such folder: {images}; give the one that holds the images of {path} as --images")
    content = read_object(path)
    place = Place(path)
    _check_kind(path, content)
    names = _categories(place["categories"], content["categories"])
    sizes, files = _images(place["images"], content["images"])
    of_image = _annotations(place["annotations"], content["annotations"], sizes, names)
    found = {number: find_image(images, files[number]) for number in files}
    missing = [files[number] for number, file in found.items() if file is None]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(files)} images of {path} are not in {images}; first: {missing[0]}; "
            "give their folder as --images"
        )
    labels = {
        number: CocoDrawing(path, sizes[number], tuple(of_image.get(number, ())), names)
        for number in files  # in the order of the file
    }
    examples = [
        Example(name, file, labels[number], split)
        for name, (number, file) in zip(short_names(list(files.values()), path), found.items(), strict=True)
        if file
    ]
    used = {names[annotation["category_id"]] for each in of_image.values() for _, annotation in each}
    taken = {file for file in found.values() if file}
    if len(taken) < len(files):
        raise DataError(f"two images of {path} have one file in {images}; give the folder in which their names are paths")
    there = {file for folder in {file.parent for file in taken} for file in entries(folder)}
    others = [file for file in there - taken if file.suffix.lower() in IMAGE_SUFFIXES]
    notes = [passed_over(others, f"in {images} that {path} does not name")] if others else []
    classes = checked_classes([Class(name) for name in names.values()], str(path))
    return Found(tuple(examples), f"annotations of {path}", tuple(notes), classes, frozenset(used))


def _check_kind(path: Path, content: Mapping[str, Any]) -> None:
    for key, what in OTHER_KINDS.items():
        if key in content:
            raise DataError(f"{path} {what}")
    missing = [section for section in SECTIONS if section not in content]
    if missing:
        raise DataError(f"{path} has no {missing[0]}; expected a COCO file with {', '.join(SECTIONS)}")
    annotations = content["annotations"]
    if isinstance(annotations, list) and annotations and isinstance(annotations[0], dict) and "segments_info" in annotations[0]:
        raise DataError(f"{path} is COCO's panoptic form, whose labels are PNGs; give an instances file")


def _categories(place: Place, values: object) -> dict[int, str]:
    """Id -> name, in ascending order of the ids."""
    names: dict[int, str] = {}
    for index, value in enumerate(place.entries(values)):
        entry = place[index].mapping(value)
        number = place[index]["id"].integer(entry.get("id"))
        if number in names:
            place[index]["id"].refuse(number, "an id that no other category has")
        names[number] = place[index]["name"].text(entry.get("name"))
    return {number: names[number] for number in sorted(names)}


def _images(place: Place, values: object) -> tuple[dict[int, tuple[int, int]], dict[int, Any]]:
    """Id -> height and width, and id -> path below the folder of images."""
    sizes: dict[int, tuple[int, int]] = {}
    files: dict[int, Any] = {}
    seen = set()
    for index, value in enumerate(place.entries(values)):
        here = place[index]
        entry = here.mapping(value)
        number = here["id"].integer(entry.get("id"))
        if number in sizes:
            here["id"].refuse(number, "an id that no other image has")
        height, width = (here[side].integer(entry.get(side), 1, LONGEST_SIDE) for side in ("height", "width"))
        if height * width > MOST_PIXELS:
            here["height"].refuse(height, f"an image of at most {MOST_PIXELS:,} pixels")
        file = relative(here["file_name"].text(entry.get("file_name")), here["file_name"])
        if file in seen:
            here["file_name"].refuse(str(file), "a file that no other image has")
        seen.add(file)
        sizes[number], files[number] = (height, width), file
    return sizes, files


def _annotations(
    place: Place, values: object, sizes: Mapping[int, Any], names: Mapping[int, str]
) -> dict[int, list[tuple[int, dict[str, Any]]]]:
    """Image id -> its annotations and their numbers in the file. Raises DataError also if some are boxes alone."""
    of_image: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    without = []
    for index, value in enumerate(place.entries(values)):
        here = place[index]
        entry = here.mapping(value)
        image, category = (here[key].integer(entry.get(key)) for key in ("image_id", "category_id"))
        if image not in sizes:
            here["image_id"].refuse(image, "the id of one of the images")
        if category not in names:
            here["category_id"].refuse(category, "the id of one of the categories")
        if not entry.get("segmentation"):
            without.append(index)
        kept = {"segmentation": entry.get("segmentation"), "category_id": category, "iscrowd": entry.get("iscrowd")}
        of_image.setdefault(image, []).append((index, kept))
    if without:
        raise DataError(
            f"{len(without)} of {len(place.entries(values))} annotations of {place.path} are boxes without a segmentation; "
            f"first: annotations[{without[0]}]; export them with polygons or masks, or take them out"
        )
    return of_image
