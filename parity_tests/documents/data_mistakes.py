"""Mistakes in a user's data, each with what the program says to it: entries 4 to 9 of docs/troubleshooting.md."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from parity_tests.documents.answers import output, torch_command, train
from segformer_core.data.image_file import read_image
from segformer_core.data.layout import open_dataset
from segformer_core.protocol.learner import ALONE
from segformer_core.survey.data_check import check_data

CHANNELS_TAG = 277
"""Of a TIFF: how many channels it has."""
LABEL = Path("my_data/labels/train/train0.png")


def relabelled(change: Callable[[np.ndarray], np.ndarray]) -> None:
    cv2.imwrite(str(LABEL), change(cv2.imread(str(LABEL), cv2.IMREAD_UNCHANGED)))


def unlabelled_photos(_: pytest.MonkeyPatch) -> str:
    Path("photos").mkdir()
    return torch_command("train", "--data_path=photos", "--load_ckpt=False")


def another_class_num(_: pytest.MonkeyPatch) -> str:
    return torch_command("train", "--data_path=my_data", "--load_ckpt=False", "--class_num=19")


def renamed_label(_: pytest.MonkeyPatch) -> str:
    LABEL.rename(LABEL.with_name("train0_mask.png"))
    return train()


def label_out_of_range(_: pytest.MonkeyPatch) -> str:
    relabelled(lambda label: np.where(label == 2, 7, label).astype(np.uint8))
    return train()


def masks_of_0_and_255(_: pytest.MonkeyPatch) -> str:
    for path in Path("my_data/labels").glob("*/*.png"):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(label == 1, 255, 0).astype(np.uint8))
    colours = "{name: background, colour: [0, 0, 0]}, {name: crack, colour: [255, 0, 0]}"
    Path("my_data/dataset.yaml").write_text(f"classes: [{colours}]\n")
    return train()


def background_that_does_not_count(_: pytest.MonkeyPatch) -> str:
    with Path("my_data/dataset.yaml").open("a") as file:
        file.write("ignore: [0]\n")
    return train()


def a_class_in_no_label(_: pytest.MonkeyPatch) -> str:
    for path in Path("my_data/labels").glob("*/*.png"):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(label == 2, 255, label))
    return output(lambda: check_data([open_dataset("my_data", "train")], 0, ALONE, print))


def coloured_masks(_: pytest.MonkeyPatch) -> str:
    for path in Path("my_data/labels").glob("*/*.png"):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.array([(90, 60, 40), (200, 40, 40), (30, 90, 200), *[(0, 0, 0)] * 253], np.uint8)[label])
    Path("my_data/dataset.yaml").write_text("classes: [ground, disc, bar]\n")
    return train()


def one_coloured_mask(_: pytest.MonkeyPatch) -> str:
    path = LABEL.with_name("train3.png")
    cv2.imwrite(str(path), np.full((64, 96, 3), (128, 64, 128), np.uint8))
    return train()


def jpeg_mask(_: pytest.MonkeyPatch) -> str:
    LABEL.write_bytes(cv2.imencode(".jpg", cv2.imread(str(LABEL)))[1].tobytes())
    return train()


def unconverted_cityscapes(_: pytest.MonkeyPatch) -> str:
    for index in range(2):
        stem = f"train/aachen/aachen_{index:06d}_000019"
        image, polygons = Path(f"leftImg8bit/{stem}_leftImg8bit.png"), Path(f"gtFine/{stem}_gtFine_polygons.json")
        for path in (image, polygons):
            (Path("data/cityscapes") / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str("data/cityscapes" / image), np.zeros((32, 64, 3), np.uint8))
        ("data/cityscapes" / polygons).write_text(json.dumps({"imgHeight": 32, "imgWidth": 64, "objects": []}))
    return torch_command("train", "--data_path=data/cityscapes", "--load_ckpt=False")


def many_bands(_: pytest.MonkeyPatch) -> str:
    four, eight = (struct.pack("<HHIH", CHANNELS_TAG, 3, 1, count) for count in (4, 8))
    Path("no_photo.tif").write_bytes(cv2.imencode(".tif", np.zeros((6, 7, 4), np.uint8))[1].tobytes().replace(four, eight))
    return output(lambda: read_image(Path("no_photo.tif")))
