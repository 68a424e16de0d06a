"""Which frames of a film are told to lie in both splits; each case is no such film."""

from pathlib import Path

import pytest

from parity_tests.survey.made import numbered
from parity_tests.survey.test_findings import check, root

__all__ = ["root"]


@pytest.mark.parametrize(("val_from", "gap"), [(4, 0), (7, 500)])
def test_a_split_by_ranges_of_one_film_gives_no_hint(
    root: Path, capsys: pytest.CaptureFixture[str], val_from: int, gap: int
) -> None:
    """Of the frames from 4 on one has a neighbour in train; those of a later part of the film have none."""
    numbered(root)
    for kind in ("images", "labels"):
        for place, path in enumerate(sorted((root / kind).glob("*/*.png"), key=lambda path: path.stem)):
            split, number = ("val", place + gap) if place >= val_from else ("train", place)
            path.rename(root / kind / split / f"film_{number:04d}.png")
    code, text = check(capsys)
    assert code == 0 and "neighbour" not in text


def test_splits_that_are_numbered_each_anew_give_no_hint(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """train/film_0 … film_5 and val/film_0 … film_2 are not frames of one film."""
    for folder in root.glob("*/*/"):
        for place, path in enumerate(sorted(folder.glob("*.png"))):
            path.rename(folder / f"film_{place}.png")
    code, text = check(capsys)
    assert code == 0 and "neighbour" not in text
