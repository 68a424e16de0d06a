"""The page of an evaluation in a browser: what a reader sees, and what the page does on keys and pointers.

Without a browser the tests are skipped, unless SEGFORMER_BROWSER is set: then they fail.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity_tests.evaluation.page_browser import SAMPLE, all_of, colour_at, contrast, emulate, luminance, resize, seen, start
from parity_tests.evaluation.page_samples import BUS, CLASSES, GREY, HTML, LONG_NAME, RESULT, TRAIN, percent
from segformer_core.evaluation.page import HATCH, RIGHT, WRONG

TEXTS = "h1, h2, h3, p, dt, dd, th, td, button, label, summary, li, output, figcaption span"


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Any]:
    session = start(tmp_path_factory.mktemp("browser"))
    yield session
    session.quit()


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(HTML, encoding="utf-8")
    return path


@pytest.fixture
def reader(browser, report) -> Any:
    """The browser with the page freshly open on a wide, light screen; the logs start empty."""
    resize(browser, 1280, 900)
    emulate(browser, "light")
    browser.get("about:blank")  # ends the requests of the start page, which would stand in the logs
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(report.as_uri())
    return browser


def test_reader_sees_the_figures_and_nothing_is_fetched(reader) -> None:
    for name in ("miou", "macc", "aacc", "mf1"):
        assert reader.find_element("id", name).text == percent(RESULT[name])
    rows = [[cell.text for cell in row.find_elements("css selector", "th, td")] for row in all_of(reader, "#classes tbody tr")]
    assert rows == [
        [
            row["name"],
            *(percent(row[figure]) for figure in ("iou", "precision")),
            "–" if index == BUS else percent(row["recall"]),
            percent(row["f1"]),
            f"{row['truth_pixels']:,}",
        ]
        for index, row in enumerate(RESULT["classes"])
        if index != TRAIN
    ]
    widths = reader.execute_script(
        "return [...document.querySelectorAll('.bar')].map(bar =>"
        "  parseFloat(getComputedStyle(bar, '::before').width) / bar.getBoundingClientRect().width)"
    )
    assert widths == pytest.approx([row["iou"] for row in RESULT["classes"] if row["iou"] is not None], abs=2e-3)
    assert reader.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in reader.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert reader.current_url in urls
    assert [url[:80] for url in urls if not url.startswith(("data:", "blob:")) and url != reader.current_url] == []


def test_classes_sort_by_column(reader) -> None:
    def order() -> list[str]:
        return [name.text for name in all_of(reader, "#classes tbody th")]

    by_class, by_iou, _, by_recall, *_ = all_of(reader, "#classes button")
    shown = [row for row in RESULT["classes"] if row["iou"] is not None]
    by_falling_iou = [row["name"] for row in sorted(shown, key=lambda row: -row["iou"])]
    assert order() == [row["name"] for row in shown] != by_falling_iou
    by_iou.click()
    assert order() == by_falling_iou
    by_iou.send_keys("\n")
    assert order() == by_falling_iou[::-1]
    assert [heading.get_attribute("aria-sort") for heading in all_of(reader, "#classes thead th")] == [
        None,
        "ascending",
        *[None] * 4,
    ]
    for _ in range(2):
        by_recall.click()
        assert order()[-1] == "bus"  # it has no recall
    by_class.click()
    assert order() == [row["name"] for row in shown]


def test_confusion_is_told_by_keyboard_pointer_and_tap(reader) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def sentence(truth: int, predicted: int) -> str:
        count, row = RESULT["confusion_matrix"][truth][predicted], RESULT["classes"][truth]
        share = f"{percent(count / row['truth_pixels'])} of the class, " if row["truth_pixels"] else ""
        return f"{CLASSES.names[truth]} predicted as {CLASSES.names[predicted]}: {share}{count:,} pixels"

    cells, output = all_of(reader, "#confusion td"), reader.find_element("css selector", "output")
    assert len(cells) == 18 * 18
    assert len(all_of(reader, "#confusion td[tabindex='0']")) == 1
    reader.execute_script("[...document.querySelectorAll('#classes button')].at(-1).focus()")
    keys = {Keys.TAB: (0, 0), Keys.ARROW_LEFT: (0, 0), Keys.ARROW_DOWN: (1, 0), Keys.ARROW_RIGHT: (1, 1)}
    for key, (truth, predicted) in keys.items():
        reader.switch_to.active_element.send_keys(key)
        assert output.text == sentence(truth, predicted)
    assert len(all_of(reader, "#confusion td[tabindex='0']")) == 1
    ActionChains(reader).move_to_element(cells[3 * 18 + 2]).perform()
    assert output.text == sentence(3, 2)
    reader.execute_script("arguments[0].scrollIntoView({ block: 'center' })", cells[17 * 18 + 16])
    cells[17 * 18 + 16].click()  # the last row; the column is the last but one, and train has none
    assert output.text == sentence(18, 17)
    cells[BUS * 18].click()
    assert output.text == sentence(BUS, 0) and "%" not in output.text
    for row, truth in enumerate(index for index in range(19) if index not in (TRAIN, BUS)):
        share = RESULT["confusion_matrix"][truth][0] / RESULT["classes"][truth]["truth_pixels"]
        expected = "" if share == 0 else "·" if share < 0.005 else f"{100 * share:.0f}"
        assert cells[(row + (truth > BUS)) * 18].text == expected


def test_divider_follows_keyboard_pointer_and_value(reader) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    stages, sliders = all_of(reader, ".stage"), all_of(reader, ".stage input")

    def clips() -> list[str]:
        return [layer.value_of_css_property("clip-path") for layer in all_of(reader, ".stage .prediction")]

    def at(percent: int) -> str:
        return f"inset(0px 0px 0px {percent}%)"

    assert clips() == [at(50)] * 3
    sliders[0].send_keys(Keys.ARROW_LEFT * 5)
    assert clips() == [at(45), at(50), at(50)]
    sliders[0].send_keys(Keys.HOME)
    assert clips() == [at(0), at(50), at(50)]
    reader.execute_script("arguments[0].value = 80; arguments[0].dispatchEvent(new Event('input'))", sliders[1])
    assert clips() == [at(0), at(80), at(50)]
    assert sliders[1].get_attribute("aria-label").startswith(LONG_NAME)
    reader.get("about:blank")
    reader.back()  # the browser restores the sliders' values
    assert clips() == [at(0), at(80), at(50)]
    stages, sliders = all_of(reader, ".stage"), all_of(reader, ".stage input")
    width = stages[2].size["width"]
    for share in (0.25, 0.0, 0.9):
        ActionChains(reader).move_to_element_with_offset(
            stages[2], round((share - 0.5) * width) + (share == 0), 40
        ).click().perform()
        assert float(sliders[2].get_attribute("value")) == pytest.approx(100 * share, abs=1)
    picture = seen(stages[1])
    building, grey = CLASSES.colours[2], (GREY,) * 3
    assert np.abs(colour_at(picture, 0.7, 0.7) - grey).max() < 5
    assert np.abs(colour_at(picture, 0.9, 0.7) - building).max() < 5


def test_what_lies_over_the_image_is_chosen(reader) -> None:
    from selenium.webdriver.common.keys import Keys

    def over(colour: tuple[int, int, int, int]) -> np.ndarray:
        return np.array(colour[:3]) * colour[3] / 255 + GREY * (1 - colour[3] / 255)

    road, building = CLASSES.colours[0], CLASSES.colours[2]
    # At a quarter, seven tenths and nineteen twentieths of the height: right, wrong, ignored.
    expected = {
        "prediction": [(road,), (building,), (building,)],
        "truth": [(road,), (road,), ((0, 0, 0),)],
        "errors": [(over(RIGHT),), (over(WRONG),), tuple(map(over, HATCH))],
    }
    choice = reader.find_element("id", "show-prediction")
    for kind, places in expected.items():
        assert reader.switch_to.active_element.get_attribute("id") == f"show-{kind}" or kind == "prediction"
        for stage in all_of(reader, ".stage"):
            shown = [
                layer.get_attribute("class") for layer in stage.find_elements("css selector", ".layer") if layer.is_displayed()
            ]
            assert shown == [f"layer {kind}"]
        picture = seen(all_of(reader, ".stage")[0])
        for down, colours in zip((0.25, 0.7, 0.97), places, strict=True):
            assert min(np.abs(colour_at(picture, 0.75, down) - colour).max() for colour in colours) < 12, (kind, down)
            assert np.abs(colour_at(picture, 0.25, down) - GREY).max() < 5
        keys = {name: key.is_displayed() for name in ("classes", "errors") for key in all_of(reader, f".of-{name}")}
        assert keys == {"classes": kind != "errors", "errors": kind == "errors"}
        choice.send_keys(Keys.ARROW_RIGHT)
        choice = reader.switch_to.active_element
    all_of(reader, "fieldset label")[1].click()
    assert all_of(reader, ".stage .truth")[0].is_displayed()


def test_phone_scrolls_the_matrix_not_the_page(reader) -> None:
    resize(reader, 360, 800)
    reader.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
    for choice in all_of(reader, "fieldset input"):
        choice.click()
        assert reader.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [360, 360]
    inner, outer = reader.execute_script(
        "const box = document.querySelector('#confusion').parentElement; return [box.scrollWidth, box.clientWidth]"
    )
    assert inner > outer <= 360


WALK = """
const cells = document.querySelectorAll("#confusion td"), sentence = document.querySelector("output"), covered = [];
cells[0].focus();
for (const key of ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"])
  for (let step = 1; step < 18; step++) {
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    const { x, y, width, height } = document.activeElement.getBoundingClientRect();
    for (const [across, down] of [[2, 2], [width - 2, 2], [2, height - 2], [width - 2, height - 2]])
      if (document.elementFromPoint(x + across, y + down) !== document.activeElement) covered.push(`${key} ${step}`);
    const { left, bottom } = sentence.getBoundingClientRect();
    if (document.elementFromPoint(left + 2, bottom - 2) !== sentence) covered.push(`sentence, ${key} ${step}`);
  }
return [covered, document.activeElement === cells[0]];
"""


def test_cells_reached_by_keyboard_the_headings_and_the_sentence_do_not_overlap(reader) -> None:
    resize(reader, 360, 500)
    assert reader.execute_script(WALK) == [[], True]


def test_both_schemes_are_legible(reader) -> None:
    bodies = []
    for scheme in ("light", "dark"):
        emulate(reader, scheme)
        bodies.append(reader.execute_script(SAMPLE, "body")[0][:2])
        texts = reader.execute_script(SAMPLE, TEXTS)
        assert len(texts) > 400
        for ink, paper, text in texts:
            assert contrast(ink, paper) >= 4.5, (scheme, text, ink, paper)
    (light_ink, light_paper), (dark_ink, dark_paper) = bodies
    assert luminance(light_paper) > 0.8 > 0.1 > luminance(dark_paper)
    assert luminance(light_ink) < 0.1 < 0.7 < luminance(dark_ink)
    assert contrast([119] * 3, [255] * 3) < 4.5 < contrast([118] * 3, [255] * 3)  # the measure itself


def test_headings_are_in_order_and_controls_are_named(reader) -> None:
    levels = [int(heading.tag_name[1]) for heading in all_of(reader, "h1, h2, h3")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    for control in all_of(reader, "button, input, summary"):
        assert control.accessible_name
    for picture in all_of(reader, "img"):
        assert picture.get_attribute("alt")
