"""Small images and masks, as people have them."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import yaml

from segformer_core.cli import DONE, USERS_MISTAKE, program

SIZE = (6, 8)
"""Height and width."""


def photo(path: Path, size: tuple[int, int] = SIZE, value: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((*size, 3), value, np.uint8))
    return path


def mask(path: Path, values, size: tuple[int, int] = SIZE) -> Path:
    """A mask whose first pixels have these values, one after another; the rest has the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = np.uint8 if max(values) < 256 else np.uint16
    pixels: np.ndarray = np.full(size, values[0], kind)
    pixels.ravel()[: len(values)] = values
    assert cv2.imwrite(str(path), pixels)
    return path


def colour_mask(path: Path, colours, size: tuple[int, int] = SIZE) -> Path:
    """As `mask`, of RGB colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, 3), colours[0], np.uint8)
    pixels.reshape(-1, 3)[: len(colours)] = colours
    assert cv2.imwrite(str(path), pixels[..., ::-1])
    return path


FIVE = ("p0", "p1", "p2", "p3", "p4")


def flat(root: Path, values=(0, 1, 2), names=FIVE, mask_suffix: str = "") -> list[str]:
    """root/photos and root/masks, and the words of a command line that names them."""
    for name in names:
        photo(root / f"photos/{name}.jpg")
        mask(root / f"masks/{name}{mask_suffix}.png", values)
    return ["--images", str(root / "photos"), "--masks", str(root / "masks")]


def make(root: Path, *words: object) -> tuple[int, Path]:
    """The exit code of `segformer make_dataset root/new …`, and that folder."""
    return program(["make_dataset", str(root / "new"), *map(str, words)]), root / "new"


def made(root: Path, *words: object) -> dict:
    """Make the folder; returns what its dataset.yaml holds."""
    code, folder = make(root, *words)
    assert code == DONE
    return yaml.safe_load((folder / "dataset.yaml").read_text(encoding="utf-8"))


def refused(root: Path, capsys, *words: object) -> str:
    """The sentence with which the command refuses; nothing is left of what it began, and the sources are as they were."""
    before = contents(root)
    capsys.readouterr()
    code, folder = make(root, *words)
    said = capsys.readouterr().err
    assert code == USERS_MISTAKE and said.startswith("error: ") and said.count("\n") == 1, said
    assert len(said) < 700 and not folder.exists() and contents(root) == before
    return said


def contents(root: Path) -> dict[str, str]:
    """Name -> hash of every file, and of folders nothing."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(root.rglob("*"))
    }


def placed(folder: Path) -> dict[str, str]:
    """Name of each image -> its split; each has a label."""
    splits = {path.stem: path.parent.name for path in folder.glob("images/*/*")}
    assert {path.stem: path.parent.name for path in folder.glob("labels/*/*")} == splits
    return splits
