"""A folder dataset of coloured shapes, small enough for every test to make its own."""

from pathlib import Path

import cv2
import numpy as np

CLASSES = ("ground", "disc", "bar")
COLOURS = ((90, 60, 40), (200, 40, 40), (30, 90, 200))


def write_folder_dataset(root: Path, images: int = 4, size: tuple[int, int] = (64, 96), validation: int = 2) -> Path:
    """images/{train,val}, labels/{train,val} and dataset.yaml below `root`; deterministic. Returns `root`."""
    rng = np.random.default_rng(0)
    for split, count in (("train", images), ("val", validation)):
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True)
        for index in range(count):
            label = np.zeros(size, np.uint8)
            centre = (int(rng.integers(size[1])), int(rng.integers(size[0])))
            cv2.circle(label, centre, min(size) // 3, (1,), -1)
            left = int(rng.integers(size[1] - 16))
            label[:, left : left + 12] = 2
            label[:2, :2] = 255
            image = np.array([*COLOURS, *[(0, 0, 0)] * 253], np.float64)[label] + rng.normal(0, 12, (*size, 3))
            cv2.imwrite(str(root / "images" / split / f"{split}{index}.png"), np.clip(image, 0, 255).astype(np.uint8)[..., ::-1])
            cv2.imwrite(str(root / "labels" / split / f"{split}{index}.png"), label)
    entries = [f"  - {{name: {name}, colour: {list(colour)}}}" for name, colour in zip(CLASSES, COLOURS, strict=True)]
    (root / "dataset.yaml").write_text("\n".join(["classes:", *entries, ""]))
    return root
