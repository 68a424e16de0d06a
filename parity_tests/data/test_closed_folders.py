"""A folder that the user may not look into, as lost+found at the root of a disk, does not end the search for a dataset."""

import errno
import os
from pathlib import Path

import pytest

from parity_tests.data.test_strays import write_city
from segformer_core.data.conversion import find_annotations
from segformer_core.data.layout import open_dataset
from segformer_core.data.listing import is_folder


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A disk with Cityscapes one level deeper, beside a folder of another user; its permissions would not stop root."""
    closed, usual = tmp_path / "lost+found", Path.is_dir
    closed.mkdir()

    def is_dir(path: Path, **options: bool) -> bool:
        if closed in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return usual(path, **options)

    monkeypatch.setattr(Path, "is_dir", is_dir)
    return tmp_path


def test_images_and_labels_are_found_beside_a_closed_folder(disk: Path) -> None:
    write_city(disk / "city")
    assert len(open_dataset(str(disk), "train")) == 2


def test_polygons_are_found_beside_a_closed_folder(disk: Path) -> None:
    write_city(disk / "city", annotation="polygons.json")
    assert len(find_annotations(disk)) == 2


def test_what_may_not_be_known_is_no_folder(disk: Path) -> None:
    assert is_folder(disk) and not is_folder(disk / "lost+found" / "gtFine")
