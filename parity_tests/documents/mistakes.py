"""Mistakes that a user can make, each with what the program says to it: the cases of docs/troubleshooting.md.

They are made in the working directory, which test_troubleshooting.py fills. `CASES` has the numbers of the page's entries.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import backend_torch
from parity_tests.documents.answers import DATA, QUICK, TRAIN, Case, convert, mindspore_command, output, torch_command, train
from parity_tests.documents.data_mistakes import (
    a_class_in_no_label,
    another_class_num,
    background_that_does_not_count,
    coloured_masks,
    jpeg_mask,
    label_out_of_range,
    many_bands,
    masks_of_0_and_255,
    one_coloured_mask,
    renamed_label,
    unconverted_cityscapes,
    unlabelled_photos,
)
from parity_tests.weights.weight_files import listed_shapes, random_arrays, saved
from segformer_core.commands.train import check_split
from segformer_core.config.load import load_config
from segformer_core.errors import UserError
from segformer_core.evaluation.metrics import scores
from segformer_core.evaluation.report import evaluation_table
from segformer_core.export.choice import choose_format
from segformer_core.export.int8 import find_calibration
from segformer_core.protocol.learner import Processes
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.weights.loading import load_pretrained


def no_framework(patch: pytest.MonkeyPatch, name: str, run: Callable[..., str]) -> str:
    patch.setitem(sys.modules, name, None)
    return run("evaluate", *DATA, "--eval_ckpt_path=three.safetensors")


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
        with Compiling(segformer("b0"), load_config([]), None, print, "")("training", (2, 3, 64, 64)):
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
