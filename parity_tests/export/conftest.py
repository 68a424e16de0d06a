"""Fixtures that the tests of export share."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.export.client_photos import FILES, Ran, inferred, ties_of, write_photos
from parity_tests.export.export_files import ARRAYS, KEPT, SPEC, Exporter, connected, exporter, form
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import logits, torch_learner, undecided_arrays
from segformer_core.export.verification import made_images, normalised
from segformer_core.weights.store import save_weights


@pytest.fixture(scope="session", autouse=True)
def kept(tmp_path_factory) -> Iterator[None]:
    """`written_once` has a folder."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "written"
    folder.mkdir(exist_ok=True)
    KEPT.append(folder)
    yield
    KEPT.clear()


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A dataset of one training image and three validation images of 64×96 pixels, with SPEC's three classes."""
    return write_folder_dataset(tmp_path_factory.mktemp("set"), images=1, validation=3)


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A weight file of ARRAYS."""
    path = tmp_path_factory.mktemp("weights") / "hot.safetensors"
    save_weights(path, SPEC, ARRAYS)
    return path


@pytest.fixture(scope="session")
def exported(folder, weights, tmp_path_factory) -> Exporter:
    """Files of ARRAYS."""
    return exporter(folder, weights, tmp_path_factory)


@pytest.fixture(scope="session")
def varied(folder, tmp_path_factory) -> Exporter:
    """Files of a network that sees each of its classes somewhere in an image: none has higher logits on average."""
    need("torch")
    arrays = undecided_arrays(SPEC)
    images = normalised(np.stack(made_images(4, (64, 96))), form())
    arrays["decode_head.linear_pred.bias"] -= logits(torch_learner(SPEC, arrays), images).mean((0, 2, 3))
    path = tmp_path_factory.mktemp("weights") / "varied.safetensors"
    save_weights(path, SPEC, arrays)
    return exporter(folder, path, tmp_path_factory)


@pytest.fixture(scope="session")
def city_photos(tmp_path_factory) -> list[Path]:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def of_infer(varied, city_photos, tmp_path_factory) -> Ran:
    made: dict[str, tuple[Path, Path, list[np.ndarray]]] = {}

    def run(name: str):
        if name not in made:
            path = varied("torch", "ONNX", **FILES[name])
            labels = inferred(path, city_photos[0].parent, tmp_path_factory.mktemp("infer"))
            source = varied("torch", "ONNX", **FILES[name] | {"export_preprocess": False})
            made[name] = path, labels, ties_of(source, city_photos, connected("torch"))
        return made[name]

    return run
