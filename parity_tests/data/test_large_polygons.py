"""Polygons from a stranger are bounded: the length of the file, its nesting, and the image that it asks for."""

from pathlib import Path

import pytest

from segformer_core.data.conversion import convert


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            '{"imgHeight": 200000, "imgWidth": 200000, "objects": []}',
            "asks for too large an image; expected at most 1,073,741,824",
        ),
        ('{"objects": "' + "x" * 2**24 + '"}', "has more than 16 MiB; expected polygons of one image"),
        ("[" * 100_000, "cannot be converted (RecursionError"),
        ('{"imgHeight": Infinity, "imgWidth": 1, "objects": []}', "cannot be converted (OverflowError"),
    ],
    ids=["pixels", "bytes", "nesting", "infinity"],
)
def test_polygons_beyond_the_bounds_are_refused(tmp_path: Path, text: str, why: str) -> None:
    annotation = tmp_path / "a_gtFine_polygons.json"
    annotation.write_text(text)
    assert convert(annotation).error.startswith(f"{annotation} {why}")
    assert list(tmp_path.iterdir()) == [annotation]
