"""A user's program as `mypy --strict` reads it: `make check` holds its types. Nobody runs it."""

import json
from collections.abc import Iterator
from pathlib import Path

import mindspore
import numpy as np
import torch
from PIL import Image
from typing_extensions import assert_type

import backend_mindspore
from backend_torch import frames, load
from segformer_core.inference.network import Network
from segformer_core.inference.result import Result


def shares(network: Network, video: str) -> Iterator[dict[str, float]]:
    for result in network(frames(video), confidence=True):
        yield result.areas


def program(folder: Path) -> None:
    network = load("w.safetensors", base_size=(512, 1024), eval_mode="slide", eval_scales=[0.5, 1.0], precision="fp16")
    assert_type(network, Network)
    assert_type(backend_mindspore.load("w.safetensors", device_target="Ascend", dataset_file=folder / "d.yaml"), Network)
    load("w.safetensors", eval_mode="windows")  # type: ignore[arg-type]
    load("w.safetensors", base_size=512)  # type: ignore[arg-type]
    load("w.safetensors", base_sise=(512, 1024))  # type: ignore[arg-type]

    result = network("street.jpg")
    assert_type(result, Result)
    for image in (folder, np.zeros((4, 4, 3)), Image.new("RGB", (4, 4)), torch.zeros(3, 4, 4), mindspore.Tensor(0)):
        assert_type(network(image), Result)
    assert_type(network(["a.jpg", folder]), Iterator[Result])
    assert_type(network(path for path in folder.glob("*.jpg")), Iterator[Result])
    network(5)  # type: ignore[call-overload]
    print(result.labels.shape, result.probabilities.dtype, result.names.index("car"), result.mask("car", 14).any())
    with (folder / "cars.json").open("w") as file:
        json.dump(result.geojson("car", smallest=50), file)
    assert_type(result.save(folder), Path)
    assert_type(network.segment(folder / "a.jpg").shape[0], int)
