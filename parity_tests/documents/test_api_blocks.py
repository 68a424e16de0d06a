"""The blocks of docs/api.md that take `load` run with both backends: with MindSpore only the import changes, as the page says."""

import pytest

from parity_tests.conftest import need
from parity_tests.documents.blocks import Block, blocks
from parity_tests.documents.world import make_world, run
from parity_tests.training_runs import SLOW_IN_MINDSPORE

PAGE = "docs/api.md"
SECONDS = 900


def program(found: list[Block], backend: str) -> str:
    """One after another in one process, which loads the framework once; each block has names of its own."""
    parts = [(block.place, block.text.replace("backend_torch", f"backend_{backend}")) for block in found]
    return f"for place, text in {parts!r}:\n    print(place)\n    exec(compile(text, place, 'exec'), {{'__name__': '__main__'}})"


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_the_blocks_run_with_either_backend(backend, tmp_path):
    need(backend)
    found = [block for block in blocks(PAGE) if "from backend_torch import" in block.text and "import torch" not in block.text]
    assert len(found) >= 6
    (tmp_path / "world").mkdir()
    make_world(tmp_path / "world")
    code, output = run("python", program(found, backend), tmp_path / "world", SECONDS)
    assert code == 0, output
    made = {path.name for path in (tmp_path / "world").iterdir()}
    assert made >= {"street_labelled", "photos_labelled", "cars.geojson", "areas.csv", "street_overlay.png"}
    lines = (tmp_path / "world" / "areas.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("frame,road,sidewalk") and len(lines) > 2
