"""The page of a dataset: what its markup and pictures say, and what a reader sees of it in a browser.

Without a browser the tests that need one are skipped, unless SEGFORMER_BROWSER is set: then they fail.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

from parity_tests.evaluation.page_browser import SAMPLE, all_of, colour_at, contrast, emulate, resize, seen, start
from parity_tests.evaluation.test_page import pictures
from parity_tests.survey.made import dataset, describe, relabel, write
from segformer_core.survey.findings import findings
from segformer_core.survey.page import MARK, page
from segformer_core.survey.pictures import LONG_SIDE, UNKNOWN, sheet
from segformer_core.survey.proposal import proposal
from segformer_core.survey.splits import find_layout
from segformer_core.survey.survey import Survey, survey

HOSTILE = "<b>&'</script><script>alert(1)</script><!--"
COLOURS = {"ground": (90, 60, 40), "disc": (200, 40, 40), HOSTILE: (30, 90, 200)}


def surveyed(root: Path) -> Survey:
    return survey(find_layout(str(root)), 1)


def html_of(found: Survey) -> str:
    return page(found, findings(found), proposal(found))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class with a hostile name; a label with a value that is no class; an image in both splits; a large image."""
    root = dataset(tmp_path_factory.mktemp("page") / "mine")
    describe(root, json.dumps({"classes": [{"name": name, "colour": colour} for name, colour in COLOURS.items()]}))
    relabel(root, lambda label: np.where(label == 1, 9, label).astype(np.uint8), "train/train_a")
    for kind in ("images", "labels"):
        (root / kind / "val/copy.png").write_bytes((root / kind / "train/train_b.png").read_bytes())
    large = np.zeros((900, 1500), np.uint8)
    large[:, 750:] = 1
    large[450:, 750:] = 255
    write(root / "labels/train/large.png", large)
    write(root / "images/train/large.png", np.full((900, 1500, 3), 90, np.uint8))
    return root


@pytest.fixture(scope="module")
def html(root: Path) -> str:
    return html_of(surveyed(root))


def test_the_page_is_complete_in_itself_and_names_are_escaped(html: str) -> None:
    assert not re.search(r"https?:|<link|@import|url\(", re.sub(r"base64,[^\"]*", "", html))
    assert "<b>&" not in html and html.count("<script") == html.count("</script>") == 2 and html.count("<!") == 1
    assert escape(HOSTILE) in html and MARK in html[:4096]


def test_the_page_embeds_its_figures(root: Path, html: str) -> None:
    found = re.search(r'<script type="application/json" id="survey">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    counted = surveyed(root)
    assert [row["name"] for row in data["classes"]] == [*COLOURS, "ignored"]
    assert [row["cells"][0]["pixels"] for row in data["classes"]] == counted.splits["train"].pixels[[0, 1, 2, 255]].tolist()
    assert [finding["wrong"] for finding in data["findings"]] == sorted((one.wrong for one in findings(counted)), reverse=True)
    assert data["proposal"] == {choice.key: choice.value for choice in proposal(counted)}


def test_labels_are_painted_in_their_classes_colours(html: str) -> None:
    shown = pictures(html)
    large = shown["train/large: labels"]
    assert large.shape == (384, LONG_SIDE, 3)
    assert large[0, 0].tolist() == [90, 60, 40] and large[0, -1].tolist() == [200, 40, 40] and large[-1, -1].tolist() == [0, 0, 0]
    assert {tuple(colour) for colour in np.unique(large.reshape(-1, 3), axis=0).tolist()} == {
        (90, 60, 40),
        (200, 40, 40),
        (0, 0, 0),
    }
    broken = shown["train/train_a: labels"]
    assert (broken == UNKNOWN).all(2).any() and not (broken == (200, 40, 40)).all(2).any()


def test_colours_of_labels_that_no_file_names_are_shown_as_they_are(tmp_path: Path) -> None:
    root = dataset(tmp_path / "mine")
    table = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    relabel(root, lambda label: table[label])
    (root / "dataset.yaml").unlink()
    shown = pictures(html_of(surveyed(root)))["train/train_a: labels"]
    assert (shown == cv2.imread(str(root / "labels/train/train_a.png"))[..., ::-1]).all()


def test_a_palette_whose_colours_count_is_painted_in_them(tmp_path: Path) -> None:
    """A program that saves few colours numbers them as it pleases: here index 0 is the disc's colour."""
    root = dataset(tmp_path / "mine", images=2, validation=1)
    order = [COLOURS["disc"], COLOURS["ground"], COLOURS[HOSTILE]]
    index_of_class = np.array([1, 0, 2], np.uint8)
    labels = {path: np.minimum(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 2) for path in root.glob("labels/*/*.png")}
    for path, label in labels.items():
        image = Image.fromarray(index_of_class[label])
        image.putpalette([part for colour in order for part in colour])
        image.save(path)
    entries = [{"name": name, "colour": colour} for name, colour in COLOURS.items()]
    describe(root, json.dumps({"classes": entries, "label_form": "colours"}))
    found = surveyed(root)
    assert found.splits["train"].images[:3].tolist() == [2, 2, 2] and set(found.stored) == set(COLOURS.values())
    shown = pictures(html_of(found))["train/train_a: labels"]
    assert (shown == np.array([*COLOURS.values()], np.uint8)[labels[root / "labels/train/train_a.png"]]).all()


def test_values_that_no_file_names_get_colours(tmp_path: Path) -> None:
    root = dataset(tmp_path / "mine")
    (root / "dataset.yaml").unlink()
    html = html_of(surveyed(root))
    shown = pictures(html)["train/train_a: labels"]
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 4 and "value 255" in html


def test_the_sheet_has_every_class(tmp_path: Path) -> None:
    """One label of fifty has the rare class."""
    root = dataset(tmp_path / "mine", images=10, validation=2)
    relabel(root, lambda label: np.where(label == 2, 0, label).astype(np.uint8), "train/train_[abcefghij]")
    relabel(root, lambda label: np.where(label == 2, 0, label).astype(np.uint8), "val/*")
    chosen = sheet(surveyed(root))
    assert chosen[0].item.name == "train_d" and len(chosen) == len({record.item.image for record in chosen}) == 12


def test_a_dataset_without_a_sound_pair_has_a_page(tmp_path: Path) -> None:
    root = dataset(tmp_path / "mine", images=2, validation=1)
    for path in root.glob("images/*/*.png"):
        path.write_bytes(b"no image")
    html = html_of(surveyed(root))
    assert "No pair can be shown." in html and "None: there is no pair to train on." in html


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    session = start(tmp_path_factory.mktemp("browser"))
    yield session
    session.quit()


@pytest.fixture
def reader(browser: Any, html: str, tmp_path: Path) -> Any:
    """The browser with the page freshly open on a wide, light screen; the logs start empty."""
    file = tmp_path / "report.html"
    file.write_text(html, encoding="utf-8")
    resize(browser, 1280, 900)
    emulate(browser, "light")
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(file.as_uri())
    return browser


def test_a_reader_sees_findings_classes_and_pictures(reader: Any) -> None:
    assert reader.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in reader.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url[:80] for url in urls if not url.startswith("data:") and url != reader.current_url] == []
    sentences = [item.text for item in all_of(reader, "#findings > li > p")]
    assert any(text.startswith("wrong 1 of 11 pairs cannot be used") for text in sentences)
    assert any("1 image of equal decoded pixels in two splits" in text for text in sentences)
    details = [item.text for item in all_of(reader, "#findings li li")]
    assert any("train_b.png = " in text and text.endswith("copy.png") for text in details)
    names = [cell.text for cell in all_of(reader, "#classes tbody th")]
    assert names == [*COLOURS, "ignored"]
    by_pixels = all_of(reader, "#classes button")[1]
    by_pixels.click()
    assert all_of(reader, "#classes tbody th")[0].text == "ground"
    by_pixels.click()
    assert all_of(reader, "#classes tbody th")[-1].text == "ground"


def test_the_labels_lie_over_the_image_or_alone(reader: Any) -> None:
    stage = next(
        stage for stage in all_of(reader, ".stage") if "large" in stage.find_element("css selector", "img").get_attribute("alt")
    )
    disc, grey = np.array([200, 40, 40]), np.array([90, 90, 90])
    assert np.abs(colour_at(seen(stage), 0.9, 0.2) - (0.6 * disc + 0.4 * grey)).max() < 6
    assert np.abs(colour_at(seen(stage), 0.2, 0.2) - grey).max() < 6
    all_of(reader, "fieldset label")[1].click()
    assert np.abs(colour_at(seen(stage), 0.9, 0.2) - disc).max() < 6
    stage.find_element("css selector", "input").send_keys("\ue010")  # End: all image
    assert np.abs(colour_at(seen(stage), 0.9, 0.2) - grey).max() < 6


def test_the_page_fits_a_phone_and_is_legible(reader: Any) -> None:
    for scheme in ("light", "dark"):
        emulate(reader, scheme)
        texts = reader.execute_script(SAMPLE, "h1, h2, h3, p, dt, dd, th, td, button, label, summary, li, figcaption span")
        assert len(texts) > 60
        for ink, paper, text in texts:
            assert contrast(ink, paper) >= 4.5, (scheme, text, ink, paper)
    resize(reader, 360, 800)
    assert reader.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [360, 360]
    for control in all_of(reader, "button, input, summary"):
        assert control.accessible_name
