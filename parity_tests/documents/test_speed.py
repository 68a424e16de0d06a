"""docs/speed.md shows what docs/measured holds, so no figure of its tables is written by hand."""

import re
import sys

import pytest

from parity_tests import ROOT
from parity_tests.documents.speed import (
    FORMS,
    MARKED,
    MEASURED,
    NOTHING,
    PAGE,
    TABLES,
    cell,
    circumstances,
    contest,
    contestant,
    forms,
    measure,
    rendered,
)
from segformer_core.commands import deployments

COMMAND = "python -m parity_tests.documents.speed"


def test_the_page_shows_what_was_measured():
    text = PAGE.read_text(encoding="utf-8")
    assert rendered(text) == text, f"after a new measurement: {COMMAND}"
    assert f"\n{COMMAND}\n" in text
    assert sorted(found["name"] for found in MARKED.finditer(text)) == sorted(TABLES), "each table once"


def test_every_measurement_is_shown():
    text = PAGE.read_text(encoding="utf-8")
    files = {path.name for path in MEASURED.iterdir()}
    assert files and files == set(re.findall(r"--json docs/measured/(\w+\.json)$", text, re.MULTILINE))


def test_a_figure_that_was_changed_by_hand_is_noticed():
    text = PAGE.read_text(encoding="utf-8")
    figure = re.search(r"\d\.\d+ GB", text)[0]
    assert rendered(text.replace(figure, "9.99 GB", 1)) == text


def test_a_mark_without_a_table_is_noticed():
    with pytest.raises(KeyError):
        rendered("<!-- measured: nothing -->\n<!-- end -->")


def test_what_was_not_measured_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("parity_tests.documents.speed.MEASURED", tmp_path)
    page = "before\n<!-- measured: peers -->\nold\n<!-- end -->\nbehind"
    assert rendered(page) == page.replace("old", NOTHING)


MEASURED_TWICE: list[dict] = [
    {
        "command": "python x.py",
        "date": "2026-11-26",
        "machine": "Linux",
        "processor": "CPU",
        "cores": 2,
        "load": factor / 10,
        "versions": {"transformers": "5.0"},
        "setting": {"variant": "b0", "size": size},
        "results": [
            {"task": task, "contestant": who, "seconds": [factor], "median": factor * median, "peak_gb": 1}
            for task, who, median in [
                ("inference", "torch", 0.5),
                ("inference", "transformers", 1.0),
                ("export", "torch", 20.0),
                ("export", "mindspore", 4),
            ]
        ],
    }
    for size, factor in (([8, 4], 1), ([9, 4], 10))
]


def test_a_table():
    """Ratios are to torch in the same task of the same file; an export has none; what was not run is a dash."""
    about = ["- 26 November 2026; CPU, 2 cores, Linux; transformers 5.0.", "- Load before each command: 0.1, 1.0."]
    assert circumstances(MEASURED_TWICE)[-2:] == about
    assert contest(MEASURED_TWICE, by_network=False) == [
        "| contestant | B0 8×4 inference | B0 8×4 export | B0 9×4 inference | B0 9×4 export |",
        "| --- | --- | --- | --- | --- |",
        "| backend_torch | 0.500 (1.00) s, 1.00 GB | 20.0 (1.00) s, 1.00 GB | 5.00 (10.0) s, 1.00 GB | 200.0 (10.0) s, 1.00 GB |",
        "| transformers 5.0 | 1.00 (1.00) s, 2.00×, 1.00 GB | – | 10.0 (10.0) s, 2.00×, 1.00 GB | – |",
        "| backend_mindspore | – | 4.00 (1.00) s, 1.00 GB | – | 40.0 (10.0) s, 1.00 GB |",
    ]
    rows = contest(MEASURED_TWICE, by_network=True)
    columns = ["inference, backend_torch", "inference, transformers 5.0", "export, backend_torch", "export, backend_mindspore"]
    assert rows[0] == f"| network | {' | '.join(columns)} |"
    assert rows[-1].startswith(
        "| B0 9×4 | 5.00 (10.0) s, 1.00 GB | 10.0 (10.0) s, 2.00×, 1.00 GB | 200.0 (10.0) s, 1.00 GB | 40.0"
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("torch-compiled", "backend_torch, compiled"),
        ("transformers-compiled", "transformers 5.0, compiled"),
        ("transformers-onnx", "transformers 5.0's file in ONNX Runtime"),
        ("onnx", "our file in ONNX Runtime 1.2"),
        ("products", "matrix products alone"),
    ],
)
def test_names_of_contestants(name, shown):
    assert contestant(name, {"versions": {"transformers": "5.0", "onnxruntime": "1.2"}}) == shown


def test_the_floor_has_no_memory_and_energy_is_shown_where_it_was_measured():
    row = {"contestant": "products", "seconds": [1.0], "median": 1.0, "peak_gb": 3}
    assert cell(row, 2.0) == "1.00 (1.00) s, 0.50×"
    assert cell(row | {"contestant": "mindspore", "joules": [1.0, 2.0, 9.0]}, 2.0) == "1.00 (1.00) s, 0.50×, 3.00 GB, 2.0 J"


def test_the_table_of_forms():
    """Two measurements of networks whose files differ in size; the first form's labels are what the others' are compared with."""
    measured = [
        {
            "setting": {"data_path": f"data/{data}"},
            "results": [
                {"form": "torch", "bytes": size, "miou": 0.5, "labels": 4000, "differing": 0, "median": 0.1},
                {"form": "web", "bytes": 2 * size, "miou": 0.4987, "labels": 4000, "differing": 1200, "median": 0.25},
            ],
        }
        for data, size in (("one", 1_500_000), ("two", 3_000_000))
    ]
    head, _, *rows = forms(measured)
    assert head.startswith("| form | one: size | one: mIoU | one: other labels | one: an image | two: size |")
    assert [row.split(" | ")[4:] for row in rows] == [
        ["100 ms", "3.0 MB", "0.5000 (+0.00 points)", "of 4,000", "100 ms |"],
        ["250 ms, 2.50×", "6.0 MB", "0.4987 (-0.13 points)", "1,200 (30.00 %)", "250 ms, 2.50× |"],
    ]
    assert FORMS.keys() == deployments.FORMS.keys() | {"web"}, "each has a name on the page"


def test_to_measure_again_runs_the_command_of_the_file(tmp_path, monkeypatch):
    run: list[list[str]] = []
    monkeypatch.setattr("parity_tests.documents.speed.MEASURED", tmp_path)
    monkeypatch.setattr("subprocess.run", lambda words, cwd, check: run.append([str(cwd), *words]))
    (tmp_path / "peers_b0.json").write_text('{"command": "python tools/benchmark.py --size 8 4"}')
    measure("peers_b0")
    assert run == [[str(ROOT), sys.executable, "tools/benchmark.py", "--size", "8", "4"]]
