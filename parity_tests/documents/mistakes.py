"""Mistakes that a user can make, each with what the program says to it: the cases of docs/troubleshooting.md.

They are made in the working directory, which test_troubleshooting.py fills. `CASES` has the numbers of the page's entries.
"""

import contextlib
import io
import json
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import backend_torch
from backend_mindspore.device import connect as connect_mindspore
from backend_torch.device import connect as connect_torch
from parity_tests.weights.weight_files import listed_shapes, random_arrays, saved
from segformer_core.cli import main, program
from segformer_core.commands.train import check_split
from segformer_core.config.load import load_config
from segformer_core.data.image_file import read_image
from segformer_core.data.layout import open_dataset
from segformer_core.errors import UserError
from segformer_core.evaluation.metrics import scores
from segformer_core.evaluation.report import evaluation_table
from segformer_core.export.choice import choose_format
from segformer_core.export.int8 import find_calibration
from segformer_core.protocol.learner import ALONE, Processes
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.survey.data_check import check_data
from segformer_core.weights.loading import load_pretrained

Case = Callable[[pytest.MonkeyPatch], str]
"""Makes the mistake, and gives what the program says as one line."""


def output(run: Callable[[], object]) -> str:
    """Everything that is printed, or the sentence that a refusal would print, as one line."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            run()
        except UserError as error:
            said.write(f"error: {error}")
    return " ".join(said.getvalue().split())


def torch_command(command: str, *words: str) -> str:
    return output(lambda: main(command, connect_torch, words))


def mindspore_command(command: str, *words: str) -> str:
    return output(lambda: main(command, connect_mindspore, words))


def convert(*words: str) -> str:
    return output(lambda: program(("convert_model", *words)))


DATA = ("--data_path=my_data", "--class_num=3", "--base_size=[64,96]", "--device_target=CPU")
TRAIN = (
    *DATA,
    "--crop_size=[64,96]",
    "--load_ckpt=False",
    "--epoch_size=1",
    "--warmup_steps=0.1",
    "--batch_size=2",
    "--run_eval=False",
)
QUICK = (*TRAIN, "--dataset_num_parallel_workers=0", "--train_log_interval=1", "--check_data=False")
CHANNELS_TAG = 277
"""Of a TIFF: how many channels it has."""
LABEL = Path("my_data/labels/train/train0.png")


def train(*words: str) -> str:
    return torch_command("train", *TRAIN, *words)


def relabelled(change: Callable[[np.ndarray], np.ndarray]) -> None:
    cv2.imwrite(str(LABEL), change(cv2.imread(str(LABEL), cv2.IMREAD_UNCHANGED)))


def no_framework(patch: pytest.MonkeyPatch, name: str, run: Callable[..., str]) -> str:
    patch.setitem(sys.modules, name, None)
    return run("evaluate", *DATA, "--eval_ckpt_path=three.safetensors")


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


def nan(patch: pytest.MonkeyPatch) -> str:
    patch.setattr("segformer_core.training.loop.SKIPPED_FOR_GOOD", 2)
    words = [word for word in QUICK if not word.startswith(("--epoch_size", "--crop_size", "--warmup"))]
    return torch_command("train", *words, "--crop_size=[32,32]", "--epoch_size=3", "--lr=1e30", "--warmup_steps=0")


def out_of_memory(patch: pytest.MonkeyPatch) -> str:
    import torch

    def step(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    patch.setattr("backend_torch.learner.Learner.step", step)
    return torch_command("train", *QUICK)


def compiling(_: pytest.MonkeyPatch) -> str:
    from backend_mindspore.compiling import Compiling

    def call() -> None:
        with Compiling(segformer("b0"), load_config([]), None, print)("training", (2, 3, 64, 64)):
            pass

    return output(call)


def another_epoch_size(_: pytest.MonkeyPatch) -> str:
    torch_command("train", *QUICK)
    words = [word for word in QUICK if not word.startswith("--epoch_size")]
    return torch_command("train", *words, "--epoch_size=2")


def an_earlier_run(_: pytest.MonkeyPatch) -> str:
    torch_command("train", *QUICK)
    return torch_command("train", *QUICK, "--resume=none")


def rank_alone(patch: pytest.MonkeyPatch) -> str:
    patch.setenv("RANK", "0")
    patch.setenv("WORLD_SIZE", "8")
    return train()


def eight_devices(_: pytest.MonkeyPatch) -> str:
    return output(lambda: check_split(load_config([]).training, Processes(0, 8, lambda array: array)))


def an_encoder_alone(_: pytest.MonkeyPatch) -> str:
    saved(Path("mit_b0.safetensors"), random_arrays(listed_shapes("nvlabs_imagenet_b0")))
    return torch_command("evaluate", *DATA, "--eval_ckpt_path=mit_b0.safetensors")


def no_connection(patch: pytest.MonkeyPatch) -> str:
    import huggingface_hub

    def fetch(*_: object, **__: object) -> None:
        raise huggingface_hub.errors.LocalEntryNotFoundError("cannot find the files on the disk")

    patch.setattr(huggingface_hub, "snapshot_download", fetch)
    return convert("hf:nvidia/mit-b0", "b0.safetensors")


def no_downloader(patch: pytest.MonkeyPatch) -> str:
    patch.setitem(sys.modules, "huggingface_hub", None)
    return convert("hf:nvidia/mit-b0", "b0.safetensors")


def a_missing_array(_: pytest.MonkeyPatch) -> str:
    arrays = random_arrays(listed_shapes("nvlabs_seg_b0"))
    del arrays["backbone.block1.0.attn.kv.weight"]
    saved(Path("cut.safetensors"), arrays)
    return convert("cut.safetensors", "b0.safetensors")


def mmsegmentations_head(_: pytest.MonkeyPatch) -> str:
    saved(Path("mmseg.safetensors"), random_arrays(listed_shapes("mmseg_seg_b0")))
    return torch_command("evaluate", *DATA, "--eval_ckpt_path=mmseg.safetensors")


def mmsegmentations_encoder(_: pytest.MonkeyPatch) -> str:
    saved(Path("mmseg.safetensors"), random_arrays(listed_shapes("mmseg_seg_b0")))
    convert("mmseg.safetensors", "encoder.safetensors", "--drop_head")
    words = [word for word in TRAIN if not word.startswith("--load_ckpt")]
    return torch_command("train", *words, "--pretrained_ckpt_path=encoder.safetensors")


def other_classes(_: pytest.MonkeyPatch) -> str:
    spec = segformer("b0", class_count=3)
    return load_pretrained("segformer_b0.safetensors", spec, init_arrays(spec, 0))[1]


def a_tensor(_: pytest.MonkeyPatch) -> str:
    network = backend_torch.load("three.safetensors", base_size=[64, 96], device_target="CPU")
    try:
        network.segment(np.zeros((3, 64, 96), np.float32))
    except UserError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def a_broken_photo(_: pytest.MonkeyPatch) -> str:
    Path("photos").mkdir()
    shutil.copy("my_data/images/val/val0.png", "photos/good.png")
    Path("photos/broken.jpg").write_bytes(b"\xff\xd8\xff")
    words = ("--data_path=photos", "--base_size=[64,96]", "--infer_ckpt_path=segformer_b0.safetensors", "--device_target=CPU")
    return torch_command("infer", *words)


def no_onnxscript(patch: pytest.MonkeyPatch) -> str:
    patch.setitem(sys.modules, "onnxscript", None)
    return torch_command("export", *DATA, "--export_ckpt_path=three.safetensors")


def a_rank_table(patch: pytest.MonkeyPatch) -> str:
    from backend_mindspore.distributed import group

    patch.setenv("RANK_TABLE_FILE", "hccl_8p.json")
    patch.setenv("RANK_SIZE", "8")
    return output(lambda: group("CPU"))


CASES: dict[int, tuple[Case, ...]] = {
    1: (lambda patch: no_framework(patch, "torch", torch_command), lambda _: torch_command("train", "--num_classes", "3")),
    2: (lambda patch: no_framework(patch, "mindspore", mindspore_command),),
    4: (unlabelled_photos, another_class_num, renamed_label),
    5: (label_out_of_range,),
    6: (masks_of_0_and_255, background_that_does_not_count, a_class_in_no_label),
    7: (coloured_masks, one_coloured_mask, jpeg_mask),
    8: (unconverted_cityscapes,),
    9: (lambda _: train("--in_channels=4"), many_bands),
    11: (nan,),
    12: (lambda _: train("--class_weights=[1,10]"),),
    13: (out_of_memory,),
    14: (compiling,),
    15: (another_epoch_size, an_earlier_run),
    16: (lambda _: train("--run_distribute=True"), rank_alone),
    17: (eight_devices,),
    19: (an_encoder_alone,),
    20: (lambda _: torch_command("evaluate", *DATA, "--eval_ckpt_path=nvidia/mit-b0"), no_connection, no_downloader),
    21: (a_missing_array, mmsegmentations_head),
    22: (other_classes, lambda _: torch_command("evaluate", *DATA, "--eval_ckpt_path=segformer_b0.safetensors")),
    23: (mmsegmentations_encoder,),
    24: (a_tensor,),
    25: (
        lambda _: evaluation_table(scores(np.diag([3, 2, 0])), ("ground", "disc", "bar"), "b0"),
        lambda _: torch_command("evaluate", *DATA, "--eval_split=test", "--eval_ckpt_path=three.safetensors"),
    ),
    26: (lambda _: torch_command("evaluate", "--eval_crop_size=[64,64]", "--eval_stride=[96,96]"),),
    27: (lambda _: torch_command("infer", "--data_path=my_data/*.gif"), a_broken_photo),
    28: (
        no_onnxscript,
        lambda _: output(lambda: choose_format("ONNX", "mindspore", "CPU")),
        lambda _: output(lambda: find_calibration(load_config(["--data_path=nowhere"]))),
    ),
    29: (lambda _: mindspore_command("train", "--device_target=Ascend", *TRAIN[:3], *TRAIN[4:]), a_rank_table),
}
"""Entry -> what provokes its quotes, in their order."""
OF_MINDSPORE = (compiling, a_rank_table)
"""These import the framework; all others only ask for it."""
