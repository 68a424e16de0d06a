"""The report in a browser, wide and narrow, light and dark. Without a browser the tests are skipped (see `page_browser`)."""

from collections.abc import Iterator
from typing import Any

import pytest

from parity_tests.evaluation.page_browser import SAMPLE, contrast, emulate, resize, start
from parity_tests.report.report_samples import report
from parity_tests.report.test_report import BEYOND, UNSEEN
from parity_tests.report.writing import PAGE, write

TEXTS = "h1, h2, h3, p, dt, dd, th, td, li, small, summary, b"


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Iterator[Any]:
    browser = start(tmp_path_factory.mktemp("browser"))
    folder = tmp_path_factory.mktemp("report")
    write(report(BEYOND, UNSEEN), folder)
    browser.get((folder / PAGE).as_uri())
    yield browser
    browser.quit()


@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_fits_the_screen(reader, width):
    resize(reader, width, 900)
    assert reader.execute_script("return document.documentElement.scrollWidth") <= width
    overflowing = (
        "return [...document.querySelectorAll('td, th, dd, li')].filter(cell => cell.scrollWidth > cell.clientWidth + 1)"
    )
    assert [cell.text for cell in reader.execute_script(overflowing) if cell.is_displayed()] == []
    assert reader.find_element("id", "verdict").text == "failed"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(reader, scheme):
    resize(reader, 1280, 900)
    emulate(reader, scheme)
    faint = [
        (text, contrast(ink, paper)) for ink, paper, text in reader.execute_script(SAMPLE, TEXTS) if contrast(ink, paper) < 4.5
    ]
    assert faint == []


def test_nothing_is_fetched_or_refused(reader):
    assert reader.get_log("browser") == []
