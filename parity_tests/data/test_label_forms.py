"""However labels are stored, the same arrays reach the network, and one line says how they are read."""

from pathlib import Path

import cv2
import pytest

from parity_tests.data.label_files import png
from parity_tests.data.label_sets import FORMS, Form, dataset, digest
from segformer_core.data.layout import open_dataset


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, bool], str]:
    """The arrays of plain 8-bit indices, for the labels that a form can hold."""
    folder = tmp_path_factory.mktemp("plain")
    kinds = {(form.classes, form.void) for form in FORMS.values()}
    return {kind: digest(dataset(folder / f"{kind[0]}{kind[1]}", Form(png, "", *kind))) for kind in kinds}


@pytest.mark.parametrize("name", FORMS)
def test_the_same_arrays_reach_the_network(tmp_path: Path, plain: dict[tuple[int, bool], str], name: str) -> None:
    form = FORMS[name]
    assert digest(dataset(tmp_path / "set", form)) == plain[form.classes, form.void]


def test_a_changed_pixel_changes_the_digest(tmp_path: Path, plain: dict[tuple[int, bool], str]) -> None:
    """The control of the test above."""
    root = dataset(tmp_path / "set", Form(png))
    assert len(set(plain.values())) == len(plain) and digest(root) == plain[3, True]
    path = root / "labels/train/train1.png"
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    labels[24:40, 30:60] = 2 - labels[24:40, 30:60] % 3
    path.write_bytes(png(labels))
    assert digest(root) != plain[3, True]


SAID = {
    "plain": (Form(png), "class indices, stored as 8-bit gray PNG; ignored: 255"),
    "palette": (FORMS["palette PNG, 4 bits"], "class indices, stored as 4-bit palette PNG; ignored: 255"),
    "map": (FORMS["0 and 255"], "values, by label_map, stored as 8-bit gray PNG; ignored: nothing"),
    "first label": (FORMS["the first label is 1"], "class indices from 1 on, stored as 8-bit gray PNG; ignored: 0"),
    "colours": (FORMS["colours"], "the colours of {file}, stored as 8-bit RGB PNG; ignored: [0, 0, 0]"),
    "equal channels": (FORMS["three equal channels"], "class indices, stored as 8-bit RGB PNG; ignored: 255"),
    "TIFF": (FORMS["palette TIFF, 8 bits"], "class indices, stored as 8-bit palette TIFF; ignored: 255"),
}


@pytest.mark.parametrize("name", SAID)
def test_one_line_says_how_labels_are_read(tmp_path: Path, name: str) -> None:
    form, said = SAID[name]
    root = dataset(tmp_path / "set", form)
    wanted = f"labels: {said.replace('{file}', str(root / 'dataset.yaml'))}"
    assert [open_dataset(str(root), split).labels for split in ("train", "val")] == [wanted] * 2
    assert open_dataset(str(root), "val", with_labels=False).labels == ""
