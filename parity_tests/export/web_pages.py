"""What the tests of the page in a browser share: the runtime, a server, and a reader of what the page shows."""

import base64
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from parity_tests.evaluation.page_browser import all_of
from parity_tests.export.export_files import described
from segformer_core.export.web_runtime import ARCHIVE, PACKAGE, VERSION, cache_folder

ARCHIVE_VARIABLE = "SEGFORMER_WEB_RUNTIME"
"""The path of the archive for these tests, which fetch nothing."""
PATIENCE = 60
"""Seconds in which the page must answer."""
DONE = r"(\d+) ms, of these (\d+) ms the network"


def archive() -> Path:
    """ONNX Runtime Web's archive: where the variable says, or in the cache of `export`. Else the test is skipped."""
    named = os.environ.get(ARCHIVE_VARIABLE)
    path = Path(named) if named else cache_folder(os.environ) / ARCHIVE
    if not path.is_file():
        where = f"{ARCHIVE_VARIABLE} is {named}, no file" if named else f"neither {path} nor {ARCHIVE_VARIABLE} is there"
        pytest.skip(f"no ONNX Runtime Web: {where}; npm pack {PACKAGE}@{VERSION} writes it")
    return path


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of the folder, served as docs/exporting.md says."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"port (\d+)", server.stdout.readline())
            assert found is not None
            yield f"http://127.0.0.1:{found[1]}/"
        finally:
            server.terminate()


def status(browser) -> str:
    return browser.find_element("id", "status").get_property("textContent")


def waited(browser, pattern: str) -> str:
    """What the page says as soon as it is of this pattern."""
    end = time.monotonic() + PATIENCE
    while not re.search(pattern, said := status(browser)):
        assert time.monotonic() < end, f"the page says {said!r}; expected {pattern!r}"
        time.sleep(0.02)
    return said


def choose(browser, photo: Path, says: str = DONE) -> str:
    """The reader chooses a file -> what the page then says."""
    browser.execute_script("document.getElementById('status').textContent = ''")
    browser.find_element("id", "file").send_keys(str(photo))
    return waited(browser, says)


def pixels_of(browser, canvas: str) -> np.ndarray:
    """(H, W, 4) uint8 RGBA of the canvas of this id, in its own size."""
    url = browser.execute_script(f"return document.getElementById('{canvas}').toDataURL('image/png')")
    data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)


def shown_labels(browser, path: Path) -> np.ndarray:
    """(H, W) uint8: the classes of the colours that the page shows, by the description of the file at `path`."""
    colours = np.array([[*entry["colour"], 255] for entry in described(path)["classes"]])
    same = (pixels_of(browser, "labels")[:, :, None] == colours).all(-1)
    assert (same.sum(-1) == 1).all(), "a colour that is no class's"
    return same.argmax(-1).astype(np.uint8)


def legend(browser) -> dict[str, str]:
    """Class -> its share, as the legend shows them."""
    rows = [row.text.split("\n") for row in all_of(browser, "#legend li")]
    return {row[0]: row[1] if len(row) > 1 else "" for row in rows}


def requested(events: list[dict[str, Any]]) -> set[str]:
    """The addresses that a browser's performance log says were asked for, without data that the page itself holds."""
    urls = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    return {url for url in urls if not url.startswith(("data:", "blob:"))}
