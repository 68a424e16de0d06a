"""The public data sets of configs/datasets/: names, folders and values of files as each of them stores its own."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from parity_tests.data.label_files import pillow, png, with_palette
from segformer_core.data.colours import voc_colour

ADE = ("b0.512x512", "b1.512x512", "b2.512x512", "b3.512x512", "b4.512x512", "b5.640x640")
VOC_LIST = "ImageSets/Segmentation"
VOC_PALETTE = [part for index in range(256) for part in voc_colour(index)]


def palette_png(labels: np.ndarray) -> bytes:
    """With VOC's colours; what counts are the indices."""
    return pillow(with_palette(labels, VOC_PALETTE), "PNG")


@dataclass(frozen=True)
class Convention:
    """How a data set names and stores its files.

    splits    split -> (image, label) files, relative to the data path
    stored    stored value -> label, 255 where it does not count
    unknown   a value that no label of the data set has
    names     some classes by index; `count` of all
    others    files that lie there too and are of no item
    """

    recipes: Sequence[str]
    count: int
    names: Mapping[int, str]
    splits: Mapping[str, Sequence[tuple[str, str]]]
    stored: Mapping[int, int]
    unknown: int
    write: Callable[[np.ndarray], bytes] = png
    others: Sequence[str] = ()
    lists: Mapping[str, str] = field(default_factory=dict)


def bdd(images: str, labels: str, suffix: str) -> dict[str, list[tuple[str, str]]]:
    names = {"train": "0a0a0b1a-7c39d841", "val": "7d2f7975-e0c1c5a7"}
    return {split: [(f"{images}/{split}/{name}.jpg", f"{labels}/{split}/{name}{suffix}")] for split, name in names.items()}


def voc(labels: str) -> dict[str, list[tuple[str, str]]]:
    return {
        "train": [("JPEGImages/2007_000032.jpg", f"{labels}/2007_000032.png")],
        "val": [("JPEGImages/2007_000033.jpg", "SegmentationClass/2007_000033.png")],
    }


CONVENTIONS = {
    "ade20k": Convention(
        [f"segformer.{name}.ade.yaml" for name in ADE],
        150,
        {0: "wall", 2: "sky", 7: "bed", 12: "person", 20: "car", 89: "television", 149: "flag"},
        {
            "train": [("images/training/ADE_train_00000001.jpg", "annotations/training/ADE_train_00000001.png")],
            "val": [("images/validation/ADE_val_00000001.jpg", "annotations/validation/ADE_val_00000001.png")],
        },
        {0: 255, 1: 0, 2: 1, 150: 149},
        unknown=151,
        others=["objectInfo150.txt", "sceneCategories.txt"],
    ),
    "coco_stuff": Convention(
        ["segformer.b0.512x512.coco_stuff.yaml"],
        171,
        {0: "person", 11: "stop sign", 79: "toothbrush", 80: "banner", 146: "skyscraper", 170: "wood"},
        {
            "train": [("images/train2017/000000000009.jpg", "annotations/train2017/000000000009.png")],
            "val": [("images/val2017/000000000139.jpg", "annotations/val2017/000000000139.png")],
        },
        {0: 0, 10: 10, 12: 11, 89: 79, 91: 80, 181: 170, 255: 255},
        unknown=11,
        others=["annotations/train2017/000000000009_labelTrainIds.png"],
    ),
    "voc2012": Convention(
        ["segformer.b0.512x512.voc.yaml"],
        21,
        {0: "background", 1: "aeroplane", 15: "person", 20: "tvmonitor"},
        voc("SegmentationClass"),
        {0: 0, 1: 1, 15: 15, 20: 20, 255: 255},
        unknown=21,
        write=palette_png,
        others=["JPEGImages/2007_000027.jpg", "SegmentationObject/2007_000032.png"],
        lists={f"{VOC_LIST}/train.txt": "2007_000032\n", f"{VOC_LIST}/val.txt": "2007_000033\n"},
    ),
    "voc2012_aug": Convention(
        [],
        21,
        {0: "background", 20: "tvmonitor"},
        voc("SegmentationClassAug"),
        {0: 0, 20: 20, 255: 255},
        unknown=21,
        others=["JPEGImages/2007_000027.jpg", "SegmentationClassAug/2007_000033.png"],
        lists={f"{VOC_LIST}/trainaug.txt": "2007_000032\n", f"{VOC_LIST}/val.txt": "2007_000033\n"},
    ),
    "mapillary_vistas": Convention(
        ["segformer.b0.1024x1024.mapillary.yaml"],
        65,
        {0: "Bird", 13: "Road", 19: "Person", 27: "Sky", 55: "Car", 64: "Ego Vehicle"},
        {  # of one download the older layout, of the other the newer
            "train": [("training/images/-0035_Pg.jpg", "training/v1.2/labels/-0035_Pg.png")],
            "val": [("validation/images/_1Gn_xkw.jpg", "validation/labels/_1Gn_xkw.png")],
        },
        {0: 0, 13: 13, 64: 64, 65: 255},
        unknown=66,
        write=palette_png,
        others=["training/v2.0/labels/-0035_Pg.png", "training/v1.2/instances/-0035_Pg.png"],
    ),
    "bdd100k": Convention(
        ["segformer.b0.512x1024.bdd100k.yaml"],
        19,
        {0: "road", 18: "bicycle"},
        bdd("images/10k", "labels/sem_seg/masks", ".png"),
        {0: 0, 18: 18, 255: 255},
        unknown=19,
        others=["images/10k/test/ac6d4f42-00000000.jpg", "labels/sem_seg/colormaps/train/0a0a0b1a-7c39d841.png"],
    ),
    "bdd100k_seg": Convention(
        [],
        19,
        {0: "road", 18: "bicycle"},
        bdd("seg/images", "seg/labels", "_train_id.png"),
        {0: 0, 18: 18, 255: 255},
        unknown=19,
        others=["seg/color_labels/train/0a0a0b1a-7c39d841_train_color.png"],
    ),
    "loveda": Convention(
        ["segformer.b0.512x512.loveda.yaml"],
        7,
        {0: "background", 1: "building", 6: "agricultural"},
        {
            "train": [
                (f"Train/{area}/images_png/{n}.png", f"Train/{area}/masks_png/{n}.png")
                for area, n in (("Rural", 0), ("Urban", 1366))
            ],
            "val": [
                (f"Val/{area}/images_png/{n}.png", f"Val/{area}/masks_png/{n}.png")
                for area, n in (("Rural", 2522), ("Urban", 3514))
            ],
        },
        {0: 255, 1: 0, 2: 1, 7: 6},
        unknown=8,
        others=["Test/Rural/images_png/4191.png"],
    ),
    "binary": Convention(
        ["segformer.b0.512x512.binary.yaml"],
        2,
        {0: "background", 1: "object"},
        {split: [(f"images/{split}/a.jpg", f"labels/{split}/a.png")] for split in ("train", "val")},
        {0: 0, 255: 1},
        unknown=254,
    ),
}


def write_image(path: Path, size: tuple[int, int], mode: str = "RGB") -> None:
    file = io.BytesIO()
    Image.new(mode, size[::-1], 120 if mode == "L" else (120, 60, 30)).save(file, "PNG" if path.suffix == ".png" else "JPEG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())


def stored_label(convention: Convention, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 with all stored values that `convention` names, from the first row on."""
    return np.resize(np.array(list(convention.stored), np.uint8), size)


def write_dataset(root: Path, convention: Convention, size: tuple[int, int] = (4, 6), mode: str = "RGB") -> Path:
    for path in (path for pairs in convention.splits.values() for path, _ in pairs):
        write_image(root / path, size, mode)
    for path in (path for pairs in convention.splits.values() for _, path in pairs):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(convention.write(stored_label(convention, size)))
    for path in convention.others:
        write_image(root / path, (3, 3)) if path.endswith((".png", ".jpg")) else (root / path).write_text("a\n")
    for path, text in convention.lists.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root
