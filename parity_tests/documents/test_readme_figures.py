"""The figures of README are those of the pages that it links to."""

import re
from collections.abc import Iterator

import pytest

from parity_tests.documents.blocks import page_text
from parity_tests.documents.speed import measurement


def row(words: str) -> list[str]:
    """The cells of README's one row of figures that begins with these words."""
    [line] = [line for line in page_text("README.md").splitlines() if line.startswith(f"| {words}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def differences(what: str) -> Iterator[float]:
    """The largest differences of MindSpore against torch in docs/parity.md."""
    for line in page_text("docs/parity.md").splitlines():
        if found := re.fullmatch(rf"\| \d \| {what} \| MindSpore, \w+ mode \| torch \| (\S+) \| \S+ \|", line):
            yield float(found[1])


def test_parity():
    figures = [float(number) for number in row("MindSpore against PyTorch")[1].split(",")]
    assert figures == [max(differences("logits")), max(differences("gradients"))]


@pytest.mark.parametrize(("file", "version"), [("peers_b0", "4.57"), ("transformers5_b0", "5.24")])
def test_speed(file, version):
    measured = measurement(file)
    assert measured["setting"]["size"] == [512, 1024] and measured["versions"]["transformers"].startswith(version)
    seconds = {line["contestant"]: line["median"] for line in measured["results"] if line["task"] == "inference"}
    ratio = seconds["transformers"] / seconds["torch"]
    assert f"{ratio:.1f} times as fast as transformers {version}" in row("inference of B0 at 512×1024")[1]


def test_labels():
    count, pixels = row("labels that differ")[1].partition(",")[0], re.search(r"[\d,]{5,}", row("labels that differ")[0])
    assert pixels
    results = page_text("docs/results.md")
    assert re.search(rf"labels that differ, of {pixels[0]} .*\n.*\n\| whole image \| {count} \| 0 \|", results)


def test_camvid():
    torch, mindspore = re.findall(r"0\.\d+", row("mIoU of B0 on CamVid")[1])
    results = page_text("docs/results.md")
    assert re.search(rf"\| CamVid \| .* 100 epochs from scratch \| {torch} with torch, {mindspore} with MindSpore \|", results)
    for backend, shown in (("torch", torch), ("mindspore", mindspore)):
        [measured] = re.findall(rf"\| `backend_{backend}` \| (\S+) \| .* h \|", results)
        assert f"{float(measured):.3f}" == shown
