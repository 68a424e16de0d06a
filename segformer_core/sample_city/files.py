"""The made-up city on disk, in exactly the folders and file names of Cityscapes."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from segformer_core.errors import DataError
from segformer_core.files import atomic_write, writable_directory
from segformer_core.sample_city.scenes import Scene, scene

CITIES = {"train": ("larkenau", "quellmoor", "varnheim"), "val": ("belvinde", "ostrela")}
IMAGES, LABELS = ("leftImg8bit", "_leftImg8bit.png"), ("gtFine", "_gtFine_polygons.json")
RECIPE_FILE = "sample_city.json"
SIDES = (64, 4096)  # pixels


@dataclass(frozen=True)
class Recipe:
    """Everything that the files depend on. train and val are numbers of images; height and width are pixels."""

    train: int = 48
    val: int = 12
    height: int = 256
    width: int = 512
    seed: int = 0


def make_sample_city(root: Path, recipe: Recipe, force: bool = False) -> int:
    """Draw the scenes that are missing and return their number; a new run completes an interrupted one.

    Raises UserError if a number is out of range, `root` cannot be written, or `root` holds anything but a city
    of this recipe. `force` replaces a city of another recipe, and the labels derived from it, but nothing else.
    """
    check(recipe)
    writable_directory(root)
    text = json.dumps(asdict(recipe))
    recipe_path = root / RECIPE_FILE
    if recipe_path.is_file():
        previous = recipe_path.read_text()
        if force:
            for path in city_files(root):
                path.unlink()
        elif previous != text:
            raise DataError(f"{root} is a sample city made with {previous}; choose another folder or add --force")
    elif any(root.iterdir()):
        raise DataError(f"{root} is not empty and holds no sample city; choose another folder")
    atomic_write(recipe_path, lambda path: path.write_text(text))
    drawn = 0
    for split_number, split in enumerate(CITIES):
        for index, (image, polygons) in enumerate(file_pairs(root, split, getattr(recipe, split))):
            if not (image.is_file() and polygons.is_file()):
                rng = np.random.default_rng((recipe.seed, split_number, index))
                write_scene(scene(rng, recipe.height, recipe.width), image, polygons)
                drawn += 1
    return drawn


def check(recipe: Recipe) -> None:
    """Raises DataError for a number out of range."""
    low, high = SIDES
    for name, least, most in (
        ("train", 1, 1_000_000),
        ("val", 1, 1_000_000),
        ("height", low, high),
        ("width", low, high),
        ("seed", 0, 2**63),
    ):
        value = getattr(recipe, name)
        if not least <= value <= most:
            raise DataError(f"{name} is {value}; expected {least} to {most}")


def file_pairs(root: Path, split: str, count: int) -> Iterator[tuple[Path, Path]]:
    """Yield the paths of each scene's image and polygons, {city}_{sequence}_{frame}; the cities share the scenes equally."""
    cities = CITIES[split]
    for number, city in enumerate(cities):
        first, last = number * count // len(cities), (number + 1) * count // len(cities)
        for sequence in range(last - first):
            stem = f"{city}_{sequence:06d}_000019"
            image = root / IMAGES[0] / split / city / (stem + IMAGES[1])
            yield image, root / LABELS[0] / split / city / (stem + LABELS[1])


def city_files(root: Path) -> list[Path]:
    """Every file that belongs to the made-up cities, derived labels included."""
    return [
        path
        for kind, _ in (IMAGES, LABELS)
        for split, cities in CITIES.items()
        for city in cities
        for path in (root / kind / split / city).glob(f"{city}_*")
    ]


def write_scene(drawing: Scene, image: Path, polygons: Path) -> None:
    """Write both files, the image as PNG. Raises UserError if that fails."""
    height, width = drawing.image.shape[:2]
    png = cv2.imencode(".png", drawing.image[..., ::-1])[1].tobytes()
    text = json.dumps({"imgHeight": height, "imgWidth": width, "objects": drawing.objects})
    writable_directory(image.parent)
    writable_directory(polygons.parent)
    atomic_write(image, lambda path: path.write_bytes(png))
    atomic_write(polygons, lambda path: path.write_text(text))
