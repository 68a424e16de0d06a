"""Small datasets for the survey's tests, and surveys without files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from parity_tests import folder_dataset
from segformer_core.data.classes import Classes
from segformer_core.data.dataset import Item
from segformer_core.survey.moments import Moments
from segformer_core.survey.pair import Record
from segformer_core.survey.splits import Layout, Split
from segformer_core.survey.survey import SplitFacts, Survey

NAMES = ("ground", "disc", "bar")


def dataset(root: Path, images: int = 6, validation: int = 3) -> Path:
    """Sound, and without a hint: names without numbers, so that no image is another's neighbour."""
    folder_dataset.write_folder_dataset(root, images=images, validation=validation)
    for path in sorted(root.glob("images/*/*.png")):  # about as light and as varied as photos
        pixels = cv2.imread(str(path))[..., ::-1].astype(int)
        write(path, np.clip(2 * pixels - 20, 0, 255).astype(np.uint8))
    for path in sorted(root.glob("*/*/*.png")):
        name = path.stem
        path.rename(path.with_name(f"{name[:-1]}_{'abcdefghijklmnop'[int(name[-1])]}.png"))
    return root


def describe(root: Path, text: str) -> None:
    (root / "dataset.yaml").write_text(text)


def write(path: Path, pixels: np.ndarray) -> Path:
    """(H, W) gray or (H, W, 3) RGB."""
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    return path


def relabel(root: Path, change, pattern: str = "*/*") -> None:
    """Every label file becomes change(values), (H, W) uint8 -> any image."""
    for path in sorted((root / "labels").glob(f"{pattern}.png")):
        write(path, change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))


def record(
    split: str = "train", size: tuple[int, int] = (100, 200), pixels: Mapping[int, int] | None = None, name: str = "a"
) -> Record:
    """Of a sound pair; by default half of it is class 0 and half class 1."""
    item = Item(Path(f"{split}/{name}.jpg"), Path(f"{split}/{name}.png"), name)
    return Record(split, item, size=size, pixels={0: 50, 1: 50} if pixels is None else pixels)


def made_survey(records: Sequence[Record], names: Sequence[str] = ("one", "two")) -> Survey:
    classes = Classes(tuple(names), tuple((index, index, index) for index in range(len(names))))
    splits = {}
    for name in ("train", "val"):
        chosen = tuple(entry for entry in records if entry.split == name)
        if chosen:
            split = Split(name, tuple(entry.item for entry in chosen))
            splits[name] = SplitFacts(split, chosen, Moments.of(np.arange(256 * 3, dtype=np.uint8).reshape(16, 16, 3)))
    layout = Layout(Path("data/mine"), tuple(facts.split for facts in splits.values()), classes, Path("data/mine/dataset.yaml"))
    return Survey(layout, splits)


def numbered(root: Path) -> None:
    """Frames 0 to 8 of one film, every third in val."""
    for place, path in enumerate(sorted((root / "images").glob("*/*.png"))):
        split = "val" if place % 3 == 2 else "train"
        label = root / "labels" / path.relative_to(root / "images")
        path.rename(root / "images" / f"{split}x_film_{place:04d}.png")
        label.rename(root / "labels" / f"{split}x_film_{place:04d}.png")
    for kind in ("images", "labels"):
        for path in sorted((root / kind).glob("*.png")):
            split, name = path.name.split("x_")
            path.rename(root / kind / split / name)
