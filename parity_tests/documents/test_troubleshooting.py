"""docs/troubleshooting.md: each message that it quotes comes out of the program, and its tables lead to the entries.

A quote is a `text` block. mistakes.py has, entry by entry, the mistakes that provoke the quotes. Numbers may differ, and `…`
stands for anything; names and paths are those of the folder in which the mistakes are made.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from parity_tests.conftest import need
from parity_tests.documents.blocks import blocks, page_text
from parity_tests.documents.links import anchor
from parity_tests.documents.mistakes import CASES, OF_MINDSPORE
from parity_tests.folder_dataset import write_folder_dataset
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

PAGE = "docs/troubleshooting.md"
HEADING = re.compile(r"^### (?P<number>\d+)\. (?P<title>.+)$", re.MULTILINE)
NUMBER = re.compile(r"\d[\d.,]*\d|\d")
ISSUE = re.compile(r"\[([\w.-]+/[\w.-]+) #(\d+)\](?!: )")
DEFINED = re.compile(r"^\[([\w.-]+/[\w.-]+) #(\d+)\]: https://github\.com/\1/issues/\2$", re.MULTILINE)


def quotes() -> dict[int, list[str]]:
    """The messages that each entry quotes, each as one line."""
    starts = [
        (page_text(PAGE).count("\n", 0, found.start()), int(found["number"])) for found in HEADING.finditer(page_text(PAGE))
    ]
    found: dict[int, list[str]] = {number: [] for _, number in starts}
    for block in blocks(PAGE):
        if block.language == "text":
            entry = [number for line, number in starts if line < block.line][-1]
            found[entry].append(" ".join(block.text.split()))
    return found


def pattern(quote: str) -> re.Pattern[str]:
    """What a program must say for a quote to be true: any numbers, and anything in place of …"""
    parts = [r"\d[\d.,]*".join(re.escape(words) for words in NUMBER.split(part)) for part in quote.split("…")]
    return re.compile(".*".join(parts))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images with labels of three classes, a network that fits them, and one of 19 classes."""
    folder = tmp_path_factory.mktemp("troubleshooting")
    write_folder_dataset(folder / "my_data", images=4, validation=2)
    for name, classes in (("segformer_b0", 19), ("three", 3)):
        spec = segformer("b0", class_count=classes)
        save_weights(folder / f"{name}.safetensors", spec, init_arrays(spec, 0))
    return folder


@pytest.fixture
def here(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the lab, as the working directory."""
    shutil.copytree(lab / "my_data", tmp_path / "my_data")
    for path in lab.glob("*.safetensors"):
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def test_every_quote_has_a_case_and_every_case_a_quote() -> None:
    assert {entry: len(said) for entry, said in quotes().items() if said} == {entry: len(ways) for entry, ways in CASES.items()}


@pytest.mark.parametrize(("entry", "index"), [(entry, index) for entry, ways in CASES.items() for index in range(len(ways))])
def test_the_program_says_what_the_page_quotes(
    entry: int, index: int, here: Path, monkeypatch: pytest.MonkeyPatch, need_torch: None
) -> None:
    case, quote = CASES[entry][index], quotes()[entry][index]
    if case in OF_MINDSPORE:
        need("mindspore")
    said = case(monkeypatch)
    assert pattern(quote).search(said), f"{PAGE}, entry {entry}:\nthe page quotes  {quote}\nthe program says {said[-1500:]}"


def test_a_pattern_takes_other_numbers_and_no_other_words() -> None:
    wanted = pattern("error: x.png has label 7 at row 0; expected 0..2 (a|b) …; set --lr 1e-3")
    assert wanted.search("error: x.png has label 12 at row 1,024; expected 0..18 (a|b) whatever; set --lr 2e-5")
    assert not wanted.search("error: x.png has label 12 in row 1,024; expected 0..18 (a|b) whatever; set --lr 2e-5")
    assert not wanted.search("error: y.png has label 7 at row 0; expected 0..2 (a|b) z; set --lr 1e-3")


def table_rows(header: str) -> Iterator[tuple[str, list[int]]]:
    """First cell and the entries that the second one links to, of the rows of the table with this header."""
    titles = {f"#{anchor(found[0][4:])}": int(found["number"]) for found in HEADING.finditer(page_text(PAGE))}
    body = page_text(PAGE).partition(f"{header}\n")[2].partition("\n\n")[0].splitlines()[1:]
    for row in body:
        said, links = [cell.strip() for cell in row.strip("|").rsplit("|", 1)]
        yield said, [titles[target] for target in re.findall(r"\]\((#[^)]+)\)", links)]


def test_every_message_of_the_first_table_is_quoted_in_the_entry_that_it_leads_to() -> None:
    rows = {said.strip("`"): entries for said, entries in table_rows("| the program says | entry |")}
    for words, entries in rows.items():
        for entry in entries:
            assert any(words in quote for quote in quotes()[entry]), f"entry {entry} does not quote {words!r}"
    for entry, said in quotes().items():
        for quote in said:
            assert any(words in quote and entry in entries for words, entries in rows.items()), f"no row leads to {quote!r}"


def test_every_symptom_leads_to_an_entry() -> None:
    rows = list(table_rows("| symptom, or what another program says | entry |"))
    assert len(rows) > 10 and all(entries for _, entries in rows)


def test_thirty_entries_and_each_is_counted() -> None:
    numbers = [int(found["number"]) for found in HEADING.finditer(page_text(PAGE))]
    assert numbers == list(range(1, 31))
    counted = re.findall(r"\| (\d+) [^|]+ \| \d+ (?=\|)", page_text(PAGE).partition("| entry | issues |")[2])
    assert sorted(map(int, counted)) == numbers


def test_every_source_is_a_link_and_every_link_a_source() -> None:
    assert set(DEFINED.findall(page_text(PAGE))) == set(ISSUE.findall(page_text(PAGE)))
