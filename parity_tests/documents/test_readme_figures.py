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


@pytest.mark.parametrize(("task", "words"), [("inference", "inference of B0"), ("training", "a training step of B0")])
def test_speed(task, words):
    measured = measurement("peers_b0")
    version = measured["versions"]["transformers"].rpartition(".")[0]
    assert measured["setting"]["size"] == [512, 1024]
    seconds = {line["contestant"]: line["median"] for line in measured["results"] if line["task"] == task}
    plain, compiled = (seconds[name] / seconds["torch"] for name in ("transformers", "transformers-compiled"))
    assert (
        row(words)[1]
        == f"{plain:.1f} times as fast as transformers {version}, {compiled:.1f} times as fast as the same, compiled"
    )


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
