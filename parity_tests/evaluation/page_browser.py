"""A browser for the tests of the page: how it starts, what its screen is, and what colours it shows."""

import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

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


def start(profile: Path, *further: str) -> Any:
    """Chromium without a window, with `further` flags.

    Where Chromium or its driver is missing, the test is skipped; with SEGFORMER_BROWSER set it fails.
    """
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        if os.environ.get("SEGFORMER_BROWSER"):
            pytest.fail("chromium or chromedriver is not installed, but SEGFORMER_BROWSER requires them")
        pytest.skip("chromium or chromedriver is not installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (*FLAGS, *further, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def resize(browser, width: int, height: int) -> None:
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def emulate(browser, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def all_of(browser, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def seen(stage) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a picture as the reader sees it."""
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(stage.screenshot_as_png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def colour_at(picture: np.ndarray, across: float, down: float) -> np.ndarray:
    return picture[int(picture.shape[0] * down), int(picture.shape[1] * across)].astype(int)


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


def luminance(colour: list[int]) -> float:
    """Relative luminance of 8-bit sRGB, 0..1, as WCAG defines it."""
    values = np.array(colour) / 255
    return float(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))


def contrast(one: list[int], other: list[int]) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
