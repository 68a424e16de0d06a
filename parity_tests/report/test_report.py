"""The report: its verdict, and what the page, the JSON and the tables say of it."""

import json
import math
import re
from dataclasses import replace
from html import unescape

import pytest
from markupsafe import escape

from parity_tests.report.documents import BEGIN, END, parts, table, tables, update
from parity_tests.report.page import HEADINGS, number, page
from parity_tests.report.plugin import Outcome
from parity_tests.report.records import Comparison, Records, Sides
from parity_tests.report.report_samples import CONTROL, HOSTILE, PEER, named, report
from parity_tests.report.writing import DATA, PAGE, read, write
from segformer_core.errors import UserError

BEYOND = Comparison(named(2, "beyond"), "torch", "transformers", "logits", "logits at 9×9", 3e-4, 1e-5)
UNSEEN = replace(CONTROL, changed="a transposed matrix", difference=1e-7, seen=False)
CRASHED = Outcome(named(3, "crashed"), "failed", "RuntimeError: <no> memory", 1.0)
FAULTS = {
    "a difference": (BEYOND, "logits of torch against transformers: the largest difference is 0.0003, allowed 1e-05"),
    "not a number": (replace(BEYOND, largest=math.inf), "the largest difference is inf, allowed 1e-05"),
    "a control": (UNSEEN, "a transposed matrix: the comparison of logits did not see 1e-07"),
    "a crash": (CRASHED, f"{named(3, 'crashed')} failed: RuntimeError: <no> memory"),
    "sides": (
        replace(BEYOND, network="", largest=0.0),
        f"{named(2, 'beyond')} compares logits and does not say what with what",
    ),
    "a peer": (
        replace(PEER, test=PEER.test + "2", largest=1.0),
        "logits of torch against transformers 9: the largest difference is 1,",
    ),
}


def test_all_well():
    found = report()
    assert found["verdict"] == "passed" and found["problems"] == found["gaps"] == []
    assert found["tests"] == {"passed": 7, "failed": 0, "skipped": 2}
    assert HEADINGS["passed"] in page(found) and 'id="verdict" class="verdict">passed<' in page(found)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_the_report_and_is_shown(fault):
    record, sentence = FAULTS[fault]
    found = report(record)
    assert found["verdict"] == "failed" and len(found["problems"]) == 1 and sentence in found["problems"][0]
    html = page(found)
    assert HEADINGS["failed"] in html and HEADINGS["passed"] not in html and str(escape(sentence)) in html
    assert "Verdict of this run: **failed**" in tables(found) and "Failed:\n\n- " in tables(found)


def test_a_fault_is_marked_where_it_stands():
    html = page(report(BEYOND, UNSEEN))
    assert '<td data-label="largest" class="digits bad">3e-4</td>' in html and 'class="measure over"' in html
    assert html.count(">NO</td>") == 1 and "1 of 2</dd>" in html
    assert "| 2 | logits | torch | transformers | **3e-4** | 1e-5 |" in tables(report(BEYOND))
    assert "| a transposed matrix | logits | 1e-7 | 1e-5 | **no** |" in tables(report(UNSEEN))


def test_a_failed_test_that_recorded_its_difference_is_told_once():
    assert len(report(BEYOND, Outcome(BEYOND.test, "failed", "AssertionError", 1.0))["problems"]) == 1


@pytest.mark.parametrize(
    ("more", "without", "sentence"),
    [
        ((), ("gradients",), "gradients: nothing was compared"),
        ((), (named(5, "any"),), "rung 5, pixels, was not run"),
        ((Outcome(named(2, "x"), "skipped", "no MindSpore", 0.1),), (), f"{named(2, 'x')} was skipped: no MindSpore"),
    ],
)
def test_what_was_not_run_is_neither_passed_nor_failed(more, without, sentence):
    found = report(*more, without=without)
    assert (found["verdict"], found["gaps"]) == ("incomplete", [sentence])
    assert str(escape(sentence)) in page(found) and sentence in tables(found)


def test_peers_and_published_weights_that_are_missing_are_said_to_be():
    """They are no part of the ladder, and never count as passed."""
    found = report()
    assert [row.get("reason") for row in found["peers"]] == [None, "smp: not installed"]
    for text in (page(found), tables(found)):
        assert "smp: not installed" in text and "b0: not checked, no weights" in text


def test_a_row_is_the_largest_of_all_tests():
    small = replace(BEYOND, test=named(2, "small"), largest=1e-6, place="elsewhere", count=3)
    (row,) = [row for row in report(small, BEYOND)["rungs"][2]["comparisons"] if row["against"] == "transformers"]
    assert (row["largest"], row["place"], row["count"], row["passed"]) == (3e-4, "logits at 9×9", 4, False)
    (row,) = [row for row in report(BEYOND, small)["rungs"][2]["comparisons"] if row["against"] == "transformers"]
    assert (row["largest"], row["place"], row["count"], row["passed"]) == (3e-4, "logits at 9×9", 4, False)


def test_a_control_row_is_the_smallest_of_all_tests():
    found = report(replace(CONTROL, difference=0.1), replace(CONTROL, difference=2.0))
    (row,) = found["rungs"][2]["controls"]
    assert (row["difference"], row["count"], row["seen"]) == (0.1, 3, True)


def test_records_keep_the_largest_and_nan_is_larger_than_all():
    records = Records({}, [])
    records.begin(Sides("a test", "one", "other"))
    for place, found in {"a": 1.0, "b": 3.0, "c": 2.0}.items():
        records.comparison("loss", place, found, 5.0)
    (record,) = records.comparisons.values()
    assert (record.largest, record.place, record.count) == (3.0, "b", 3)
    records.comparison("loss", "d", math.nan, 5.0)
    records.comparison("loss", "e", 4.0, 5.0)
    assert (record.largest, record.place, record.count) == (math.inf, "d", 5)
    again = Records({}, [])
    again.add(json.loads(json.dumps(records.plain())))
    assert again.comparisons == records.comparisons


def test_names_are_escaped_and_the_page_is_complete_in_itself():
    html = page(report(replace(BEYOND, place=HOSTILE), replace(UNSEEN, changed=HOSTILE)))
    assert "<b>&" not in html and html.count("<script") == html.count("</script>") == 1 and escape(HOSTILE) in html
    assert not re.search(r"<link|@import|url\(|src=|href=", html)


def test_the_report_is_embedded_and_written_as_json(tmp_path):
    found = report(replace(BEYOND, largest=math.inf))
    write(found, tmp_path / "new" / "folder")
    assert read(tmp_path / "new" / "folder") == found and sorted(path.name for path in (tmp_path / "new/folder").iterdir()) == [
        PAGE,
        DATA,
    ]
    html = (tmp_path / "new/folder" / PAGE).read_text()
    embedded = re.search(r'<script type="application/json" id="report">(.*?)</script>', html, re.DOTALL)
    assert embedded is not None and json.loads(embedded[1]) == found
    assert "not finite" in html


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (2.53e-6, "2.5e-6"),
        (1e-5, "1e-5"),
        (9.96e-6, "1e-5"),
        (0.5, "0.5"),
        (12.3, "12"),
        (1234.5, "1234"),
        (None, "not finite"),
    ],
)
def test_numbers_have_two_digits(value, text):
    assert number(value) == text


def test_a_cell_cannot_end_its_row():
    lines = table(("a", "b"), [(HOSTILE, 1)])
    assert lines[1] == "|---|---|" and unescape(lines[2]) == r"| <b>&\| <script>alert(1)</script> | 1 |" and "<" not in lines[2]


def test_the_tables_take_the_place_between_the_marks(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    update(path, report())
    before, between, after = parts(path.read_text(), path)
    assert (before, after) == ("before\n", "\nafter\n") and between == f"\n\n{tables(report())}\n"
    update(path, report())
    assert parts(path.read_text(), path) == (before, between, after)
    for text in ("no marks", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"):
        path.write_text(text)
        with pytest.raises(UserError, match="must have each of these lines once, in this order"):
            update(path, report())
        assert path.read_text() == text
