"""The page of an evaluation: its markup, and what a reader's browser makes of it.

No browser is a printed skip, unless SEGFORMER_BROWSER is set: then it is a failure.
"""

import base64
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from markupsafe import escape

from segformer_core.config.keys import Config, flat
from segformer_core.data.cityscapes import CLASSES as CITYSCAPES
from segformer_core.evaluation.metrics import scores
from segformer_core.evaluation.page import HATCH, HATCH_WIDTH, LONG_SIDE, RIGHT, WRONG, Example, error_overlay, page
from segformer_core.pictures import colourise

HOSTILE = "<b>&\"'</script><script>alert(1)</script><!--"
CLASSES = replace(CITYSCAPES, names=("road", HOSTILE, *CITYSCAPES.names[2:]))
TRAIN, BUS = CLASSES.names.index("train"), CLASSES.names.index("bus")
GREY = 90
LONG_NAME = "a_city_whose_name_has_no_place_to_break_000000_000019_leftImg8bit"


def known(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def result_of(counts: np.ndarray, **changes: Any) -> dict[str, Any]:
    """The result of a (19, 19) confusion matrix."""
    judged = scores(counts)
    iou, accuracy = known(judged.iou), known(judged.accuracy)
    miou, macc, aacc = known(np.array([judged.miou, judged.macc, judged.aacc]))
    result = {
        "format": 1,
        "miou": miou,
        "macc": macc,
        "aacc": aacc,
        "images": 1234,
        "seconds": 34.1,
        "finished": "2026-11-26T03:00:00+00:00",
        "classes": [
            {
                "name": name,
                "iou": iou[index],
                "accuracy": accuracy[index],
                "truth_pixels": int(counts[index].sum()),
                "predicted_pixels": int(counts[:, index].sum()),
            }
            for index, name in enumerate(CLASSES.names)
        ],
        "absent": [CLASSES.names[index] for index in judged.absent],
        "confusion_matrix": counts.tolist(),
        "image_scores": {"one": 0.1, HOSTILE: 0.52, "three": 0.54, "none": None},
        "weights": {"path": f"runs/{HOSTILE}/best.safetensors", "sha256": "0f" * 32, "network": "mit_b0", "source": HOSTILE},
        "data": {"path": "data/cityscapes", "split": "val"},
        "settings": flat(Config()),
        "versions": {"segformer": "0.1.0", "torch": "2.13.0"},
        "backend": "torch",
        "device": "cpu",
        "precision": "fp32",
    }
    return json.loads(json.dumps(result | changes))


def counts() -> np.ndarray:
    """(19, 19): shares from nothing to nearly all; no train at all, and bus is predicted only."""
    rng = np.random.default_rng(0)
    counts = np.floor(10 ** rng.uniform(-1, 4, (19, 19))).astype(np.int64)
    counts[np.diag_indices(19)] += np.arange(19) ** 5 + 1
    counts[[TRAIN, BUS]] = counts[:, TRAIN] = 0
    return counts


RESULT = result_of(counts())


def example(name: str, score: float = 0.5, height: int = 60, width: int = 100) -> Example:
    """Grey; all road, of which the lower half is predicted as buildings and the lowest tenth is ignored."""
    image = np.full((height, width, 3), GREY, np.uint8)
    truth, prediction = np.zeros((2, height, width), np.uint8)
    prediction[height // 2 :] = 2
    truth[-height // 10 :] = 255
    return Example(name, score, image, truth, prediction)


WORST, BEST = [example(HOSTILE, 0.1), example(LONG_NAME, 0.2)], [example("best", 0.95)]
HTML = page(RESULT, CLASSES, WORST, BEST)


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def pictures(html: str) -> dict[str, np.ndarray]:
    """(H, W, 3 or 4) uint8 RGB or RGBA of every picture by what it is."""
    found = {}
    for data, alt in re.findall(r'<img [^>]*src="data:image/\w+;base64,([^"]*)"[^>]*alt="([^"]*)"', html):
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
        found[unescape(alt)] = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return found


def test_headline_figures_are_the_results() -> None:
    for name in ("miou", "macc", "aacc"):
        assert f'id="{name}">{percent(RESULT[name])}<' in HTML
    assert 'id="images">1,234<' in HTML
    assert "torch on cpu in fp32, finished 2026-11-26 03:00 UTC after 34 s" in HTML


def test_result_is_embedded_whole() -> None:
    embedded = re.search(r'<script type="application/json" id="result">(.*?)</script>', HTML, re.DOTALL)
    assert embedded is not None and json.loads(embedded[1]) == RESULT


def test_names_are_escaped() -> None:
    assert "<b>&" not in HTML and HTML.count("<script") == HTML.count("</script>") == 2 and HTML.count("<!") == 1
    assert escape(HOSTILE) in HTML


def test_page_is_complete_in_itself() -> None:
    assert not re.search(r"https?:|<link|@import|url\(|//[a-z]", re.sub(r"base64,[^\"]*", "", HTML.partition("<script>")[0]))
    assert not re.search(r"https?:|fetch|import\b", HTML.partition("<script>")[2])
    assert HTML.count("src=") == HTML.count('src="data:image/') == 4 * 3


def test_absent_classes_are_named_and_left_out() -> None:
    assert "left out of the means: train." in HTML
    assert HTML.count(">train<") == 1  # in the pictures' key
    assert "left out" not in page(result_of(np.eye(19, dtype=np.int64)), CLASSES, [], [])


def test_nothing_to_score() -> None:
    html = page(result_of(np.zeros((19, 19), np.int64), image_scores={"one": None}), CLASSES, [], [])
    assert [re.search(f'id="{name}">(.*?)<', html)[1] for name in ("miou", "macc", "aacc")] == ["–"] * 3
    assert "Nothing to score: every pixel of the truth is ignored." in html
    assert html.count("No image has a score.") == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "whole images fitted into 512×1024 at scale 1, not mirrored"),
        (
            {"eval_mode": "slide", "eval_crop_size": [768, 700], "eval_stride": [500, 600]},
            "sliding windows of 768×700, 500×600 apart, over images fitted into 512×1024 at scale 1, not mirrored",
        ),
        (
            {"eval_scales": [0.5, 1.0, 1.75], "eval_flip": True},
            "whole images fitted into 512×1024 at scales 0.5, 1, 1.75, averaged with their mirror images",
        ),
    ],
)
def test_method_is_said(changes: dict[str, Any], sentence: str) -> None:
    settings = RESULT["settings"] | changes
    assert sentence in page(RESULT | {"settings": settings}, CLASSES, [], [])
    for key, value in changes.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        assert f"<dt>{key}</dt><dd>{shown}</dd>" in page(RESULT | {"settings": settings}, CLASSES, [], [])


def test_error_overlay_marks_wrong_dims_right_hatches_ignored() -> None:
    truth, prediction = np.array([[3, 3, 255]], np.uint8), np.array([[3, 4, 255]], np.uint8)
    assert error_overlay(truth, prediction).tolist() == [[[*RIGHT], [*WRONG], [*HATCH[0]]]]
    ignored = error_overlay(np.full((9, 40), 255, np.uint8), np.zeros((9, 40), np.uint8))
    assert ignored.dtype == np.uint8
    assert {tuple(colour) for colour in ignored[4].tolist()} == {*HATCH}
    assert (ignored[1:, :-1] == ignored[:-1, 1:]).all() and (ignored[0, HATCH_WIDTH:] != ignored[0, :-HATCH_WIDTH]).any(-1).all()


def test_pictures_are_those_of_the_example() -> None:
    found, shown = pictures(HTML), WORST[0]
    assert (found[f"{HOSTILE}: truth"] == colourise(shown.truth, CLASSES)).all()
    assert (found[f"{HOSTILE}: prediction"] == colourise(shown.prediction, CLASSES)).all()
    assert (found[f"{HOSTILE}: errors"] == error_overlay(shown.truth, shown.prediction)).all()
    red = replace(shown, image=np.full((60, 100, 3), (200, 30, 60), np.uint8))
    (image, *_) = pictures(page(RESULT, CLASSES, [red], [])).values()
    assert np.abs(image.astype(int) - (200, 30, 60)).max() < 5


def test_large_pictures_are_reduced_and_labels_stay_labels() -> None:
    found = pictures(page(RESULT, CLASSES, [example("tall", height=2001, width=500)], []))
    assert [picture.shape[:2] for picture in found.values()] == [(LONG_SIDE, 256)] * 4
    for kind, colours in {
        "truth": {CLASSES.colours[0], (0, 0, 0)},
        "prediction": {CLASSES.colours[0], CLASSES.colours[2]},
    }.items():
        assert {tuple(colour) for colour in np.unique(found[f"tall: {kind}"].reshape(-1, 3), axis=0).tolist()} == colours


FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Any]:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        if os.environ.get("SEGFORMER_BROWSER"):
            pytest.fail("chromium or chromedriver is not installed, but SEGFORMER_BROWSER requires them")
        pytest.skip("chromium or chromedriver is not installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    session = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
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
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(report.as_uri())
    return browser


def resize(browser, width: int, height: int) -> None:
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def emulate(browser, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def all_of(browser, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def test_reader_sees_the_figures_and_nothing_is_fetched(reader) -> None:
    for name in ("miou", "macc", "aacc"):
        assert reader.find_element("id", name).text == percent(RESULT[name])
    rows = [[cell.text for cell in row.find_elements("css selector", "th, td")] for row in all_of(reader, "#classes tbody tr")]
    assert rows == [
        [row["name"], percent(row["iou"]), "–" if index == BUS else percent(row["accuracy"]), f"{row['truth_pixels']:,}"]
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
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert reader.current_url in asked
    assert [url[:80] for url in asked if not url.startswith(("data:", "blob:")) and url != reader.current_url] == []


def test_classes_sort_by_column(reader) -> None:
    def order() -> list[str]:
        return [name.text for name in all_of(reader, "#classes tbody th")]

    by_class, by_iou, by_accuracy, _ = all_of(reader, "#classes button")
    shown = [row for row in RESULT["classes"] if row["iou"] is not None]
    want = [row["name"] for row in sorted(shown, key=lambda row: -row["iou"])]
    assert order() == [row["name"] for row in shown] != want
    by_iou.click()
    assert order() == want
    by_iou.send_keys("\n")
    assert order() == want[::-1]
    assert [heading.get_attribute("aria-sort") for heading in all_of(reader, "#classes thead th")] == [
        None,
        "ascending",
        None,
        None,
    ]
    for _ in range(2):
        by_accuracy.click()
        assert order()[-1] == "bus"  # which has none
    by_class.click()
    assert order() == [row["name"] for row in shown]


def test_confusion_is_told_by_keyboard_pointer_and_tap(reader) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def sentence(truth: int, predicted: int) -> str:
        count, row = RESULT["confusion_matrix"][truth][predicted], RESULT["classes"][truth]
        share = f"{percent(count / row['truth_pixels'])} of the class, " if row["truth_pixels"] else ""
        return f"{CLASSES.names[truth]} predicted as {CLASSES.names[predicted]}: {share}{count:,} pixels"

    cells, told = all_of(reader, "#confusion td"), reader.find_element("css selector", "output")
    assert len(cells) == 18 * 18
    assert len(all_of(reader, "#confusion td[tabindex='0']")) == 1
    reader.execute_script("document.querySelectorAll('#classes button')[3].focus()")
    keys = {Keys.TAB: (0, 0), Keys.ARROW_LEFT: (0, 0), Keys.ARROW_DOWN: (1, 0), Keys.ARROW_RIGHT: (1, 1)}
    for key, (truth, predicted) in keys.items():
        reader.switch_to.active_element.send_keys(key)
        assert told.text == sentence(truth, predicted)
    assert len(all_of(reader, "#confusion td[tabindex='0']")) == 1
    ActionChains(reader).move_to_element(cells[3 * 18 + 2]).perform()
    assert told.text == sentence(3, 2)
    reader.execute_script("arguments[0].scrollIntoView({ block: 'center' })", cells[17 * 18 + 16])
    cells[17 * 18 + 16].click()  # the last row and the last but one column, behind train
    assert told.text == sentence(18, 17)
    cells[BUS * 18].click()
    assert told.text == sentence(BUS, 0) and "%" not in told.text
    for row, truth in enumerate(index for index in range(19) if index not in (TRAIN, BUS)):
        share = RESULT["confusion_matrix"][truth][0] / RESULT["classes"][truth]["truth_pixels"]
        want = "" if share == 0 else "·" if share < 0.005 else f"{100 * share:.0f}"
        assert cells[(row + (truth > BUS)) * 18].text == want


def seen(stage) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a picture as the reader sees it."""
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(stage.screenshot_as_png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def colour_at(picture: np.ndarray, across: float, down: float) -> np.ndarray:
    return picture[int(picture.shape[0] * down), int(picture.shape[1] * across)].astype(int)


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
    reader.back()  # the browser puts the sliders back where they stood
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
    wanted = {
        "prediction": [(road,), (building,), (building,)],
        "truth": [(road,), (road,), ((0, 0, 0),)],
        "errors": [(over(RIGHT),), (over(WRONG),), tuple(map(over, HATCH))],
    }
    choice = reader.find_element("id", "show-prediction")
    for kind, places in wanted.items():
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


SAMPLE = """
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
function bytes(colour) {
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
function behind(element) {
  const colour = getComputedStyle(element).backgroundColor;
  return colour === "rgba(0, 0, 0, 0)" ? behind(element.parentElement) : colour;
}
const texts = [...document.querySelectorAll(arguments[0])].filter((element) => element.textContent.trim());
return texts.map((element) => [bytes(getComputedStyle(element).color), bytes(behind(element)), element.textContent]);
"""
TEXTS = "h1, h2, h3, p, dt, dd, th, td, button, label, summary, li, output, figcaption span"


def luminance(colour: list[int]) -> float:
    """Relative luminance of 8-bit sRGB, 0..1, as WCAG defines it."""
    values = np.array(colour) / 255
    return float(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))


def contrast(one: list[int], other: list[int]) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_both_schemes_are_legible(reader) -> None:
    bodies = []
    for scheme in ("light", "dark"):
        emulate(reader, scheme)
        bodies.append(reader.execute_script(SAMPLE, "body")[0][:2])
        found = reader.execute_script(SAMPLE, TEXTS)
        assert len(found) > 400
        for ink, paper, text in found:
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
