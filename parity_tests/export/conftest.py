"""Fixtures that the tests of export share."""

from pathlib import Path

import pytest

from parity_tests.export.export_files import ARRAYS, SPEC
from parity_tests.folder_dataset import write_folder_dataset
from segformer_core.weights.store import save_weights


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
