"""The page of a WEB folder in a browser: it gives the labels of `infer`, shows them, and asks nobody else for anything.

Without a browser the tests are skipped, unless SEGFORMER_BROWSER is set: then they fail. They fetch nothing: without ONNX Runtime
Web's archive they are skipped (`web_pages.archive`).
"""

import base64
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from parity_tests.evaluation.page_browser import all_of, start
from parity_tests.export.client_photos import FILES, check
from parity_tests.export.web_pages import (
    DONE,
    archive,
    choose,
    legend,
    pixels_of,
    requested,
    served,
    shown_labels,
    status,
    waited,
)
from parity_tests.folder_dataset import CLASSES, COLOURS
from segformer_core.data.image_file import read_image
from segformer_core.export.choice import sidecar_path
from segformer_core.export.web_folder import NETWORK, write_page
from segformer_core.export.web_runtime import runtime_files

FLAGS = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
"""A camera that moves and asks nobody, and no other host than this one."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Any]:
    session = start(tmp_path_factory.mktemp("browser"), *FLAGS)
    yield session
    session.quit()


Made = Callable[[Path], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    """An exported file -> the ONNX file of a folder with the page around it."""
    runtime = runtime_files(str(archive()), os.environ, print)

    def make(path: Path) -> Path:
        folder = tmp_path_factory.mktemp("web")
        shutil.copy(path, folder / NETWORK)
        shutil.copy(sidecar_path(path), sidecar_path(folder / NETWORK))
        write_page(folder, runtime)
        return folder / NETWORK

    return make


@pytest.fixture
def opened(browser) -> Iterator[Callable[[Path], Any]]:
    """The ONNX file of a folder -> the browser with its page, which is ready; the logs start empty."""
    with ExitStack() as stack:

        def open_page(network: Path, says: str = "Ready") -> Any:
            browser.get("about:blank")
            for log in ("browser", "performance"):
                browser.get_log(log)
            browser.get(stack.enter_context(served(network.parent)))
            waited(browser, says)
            return browser

        yield open_page


def write_labels(browser, network: Path, photos: list[Path], folder: Path) -> None:
    for photo in photos:
        choose(browser, photo)
        cv2.imwrite(str(folder / f"{photo.stem}.png"), shown_labels(browser, network))


@pytest.mark.parametrize("name", FILES)
def test_the_page_gives_the_labels_of_infer(name, opened, made, of_infer, city_photos, tmp_path):
    path, labels, ties = of_infer(name)
    network = made(path)
    write_labels(opened(network), network, city_photos, tmp_path)
    assert check(tmp_path, labels, city_photos, ties) > 100_000


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("fitting.js", "+ 2) >> 2", "+ 1) >> 2"),
        ("fitting.js", "scale + 0.5)", "scale)"),
        ("fitting.js", "score > best[x]", "score >= best[x] - 0.01"),
        (f"{NETWORK}.json", '"multiple": 1', '"multiple": 32'),
        (f"{NETWORK}.json", '"stride": 4', '"stride": 5'),
        (f"{NETWORK}.json", "123.675", "100.0"),
    ],
)
def test_other_arithmetic_or_numbers_give_other_labels(file, old, new, opened, made, of_infer, city_photos, tmp_path):
    path, labels, ties = of_infer("one size")
    network = made(path)
    text = (network.parent / file).read_text()
    assert old in text
    (network.parent / file).write_text(text.replace(old, new))
    write_labels(opened(network), network, city_photos[:6], tmp_path)
    with pytest.raises(AssertionError, match="labels of .* differ"):
        check(tmp_path, labels, city_photos[:6], ties[:6])


@pytest.fixture
def page(opened, made, of_infer) -> tuple[Any, Path]:
    """The browser with the page of a network of one size, and its file."""
    network = made(of_infer("one size")[0])
    return opened(network), network


def test_a_reader_sees_image_labels_legend_and_time_and_nothing_is_fetched(page, city_photos):
    browser, network = page
    assert legend(browser) == dict.fromkeys(CLASSES, ""), "before there is an image all classes are told, without shares"
    assert "mit_b0 · fp32 · sees images at up to 64×96 pixels" in browser.find_element("id", "about").text
    for photo in city_photos[:3]:
        both, of_network = map(int, re.search(DONE, choose(browser, photo)).groups())
        assert 0 < of_network <= both
        assert (pixels_of(browser, "image")[:, :, :3] == read_image(photo)).all()
        shares = np.bincount(shown_labels(browser, network).ravel(), minlength=len(CLASSES)) / read_image(photo)[..., 0].size
        order = [index for index in np.argsort(-shares, kind="stable") if shares[index]]
        assert list(legend(browser).items()) == [(CLASSES[index], f"{100 * shares[index]:.1f}%") for index in order]
        swatches = [swatch.value_of_css_property("background-color") for swatch in all_of(browser, "#legend i")]
        assert swatches == [f"rgba({', '.join(map(str, COLOURS[index]))}, 1)" for index in order]
    assert browser.get_log("browser") == []
    urls = requested([json.loads(entry["message"])["message"] for entry in browser.get_log("performance")])
    assert urls and {url for url in urls if not url.startswith(browser.current_url)} <= {"about:blank"}


def test_the_slider_changes_how_much_of_the_labels_is_seen(page, city_photos):
    browser, _ = page
    choose(browser, city_photos[0])
    overlay, slider = browser.find_element("id", "labels"), browser.find_element("id", "opacity")
    assert overlay.value_of_css_property("opacity") == "0.6"
    slider.send_keys("\ue010")  # End
    assert overlay.value_of_css_property("opacity") == "1"
    slider.send_keys("\ue011")  # Home
    assert overlay.value_of_css_property("opacity") == "0"


def test_the_class_under_the_pointer_is_named(page, city_photos):
    browser, network = page
    choose(browser, city_photos[0])
    labels, named = shown_labels(browser, network), browser.find_element("id", "pointed")
    (rows, columns), classes = labels.shape, np.unique(labels)
    assert len(classes) > 1
    for index in classes:
        row, column = np.argwhere(labels == index)[-1]
        browser.execute_script(
            "const box = document.getElementById('image').getBoundingClientRect();"
            "document.getElementById('image').dispatchEvent(new PointerEvent('pointermove', { bubbles: true,"
            " clientX: box.left + box.width * arguments[0], clientY: box.top + box.height * arguments[1] }));",
            (column + 0.5) / columns,
            (row + 0.5) / rows,
        )
        assert named.get_property("textContent") == CLASSES[index]
    assert named.is_displayed()
    browser.execute_script("document.getElementById('stage').dispatchEvent(new PointerEvent('pointerleave'))")
    assert not named.is_displayed()


DROP = """
document.getElementById("status").textContent = "";
for (const content of arguments) {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], "photo.png", { type: "image/png" }));
  document.getElementById("stage").dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
}
"""


def drop(browser, *photos: Path) -> None:
    """One after the other, at once."""
    browser.execute_script(DROP, *(base64.b64encode(photo.read_bytes()).decode() for photo in photos))
    waited(browser, DONE)


def test_an_image_is_dropped(page, city_photos):
    browser, network = page
    choose(browser, city_photos[1])
    wanted = shown_labels(browser, network)
    choose(browser, city_photos[0])
    assert shown_labels(browser, network).shape != wanted.shape
    drop(browser, city_photos[1])
    assert (shown_labels(browser, network) == wanted).all()


def test_the_last_of_several_images_is_shown(page, city_photos):
    browser, network = page
    for photo in (city_photos[0], city_photos[1]):
        choose(browser, photo)
        wanted = shown_labels(browser, network)
        drop(browser, *city_photos[2:6], photo)
        shown = shown_labels(browser, network)
        assert shown.shape == wanted.shape and (shown == wanted).all()


def test_the_camera_is_labelled_until_it_is_stopped(page):
    browser, network = page
    button = browser.find_element("id", "camera")
    button.click()
    waited(browser, DONE)
    assert button.text == "Stop the camera"
    assert shown_labels(browser, network).shape == pixels_of(browser, "image").shape[:2]
    before = pixels_of(browser, "image")
    browser.execute_script("document.getElementById('status').textContent = ''")
    waited(browser, DONE)
    assert (pixels_of(browser, "image") != before).any(), "the next frame"
    button.click()
    assert button.text == "Use the camera"


def test_what_is_no_image_and_what_is_missing_is_said(page, tmp_path, opened):
    browser, network = page
    (tmp_path / "notes.png").write_text("no image")
    said = choose(browser, tmp_path / "notes.png", "no image")
    assert said == "notes.png is no image that this browser can read; choose a PNG, JPEG or WebP file."
    network.rename(tmp_path / NETWORK)
    opened(network, r"^The network does not run here \(.*network.onnx: 404 .*\); look whether the folder is complete")


def test_a_chinese_reader_reads_chinese(opened, made, of_infer, city_photos):
    network = made(of_infer("one size")[0])
    browser = opened(network)
    agent = browser.execute_script("return navigator.userAgent")
    try:
        for accepted, language, ready in (("zh-CN", "zh-CN", "就绪"), ("en-US", "en", "Ready"), ("de-DE", "en", "Ready")):
            browser.execute_cdp_cmd("Network.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": accepted})
            opened(network, ready)
            assert browser.execute_script("return document.documentElement.lang") == language
            texts = [part.get_property("textContent") for part in all_of(browser, "[data-text]")]
            assert len(texts) == 6 and all(texts)
            chinese = [bool(re.search("[\u4e00-\u9fff]", text)) for text in (*texts, status(browser))]
            assert set(chinese) == {language == "zh-CN"}
    finally:
        browser.execute_cdp_cmd("Network.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": "en-US"})
