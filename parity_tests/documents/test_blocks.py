"""Every block of README and docs/: the commands exist and accept their flags, and the blocks of a page run one after another.

Marks, in an HTML comment on the line before a block: `long` runs in the full suite only, `parsed: REASON` never. The quick suite
runs those of README; the full one those of all pages.
"""

import re
import shutil
from pathlib import Path

import pytest

from parity_tests.documents import PAGES
from parity_tests.documents.blocks import RUN, SHOWN, blocks, commands, without_blocks
from parity_tests.documents.known_commands import check
from parity_tests.documents.world import make_world, run
from parity_tests.training_runs import FULL

SECONDS = 900
HIDDEN = re.compile(r"^\s*(\$ |python -m|python tools/|make \w|pip install|bash tools/)", re.MULTILINE)
"""The start of a command, where none should stand."""
WRITTEN = re.compile(r'Path\("([\w./-]+\.yaml)"\)\.write_text\("""\\\n(.*?)"""\)', re.DOTALL)
"""A recipe that a page's Python block writes: its name and text."""
FIRST = ("README.md",)
WITH_BLOCKS = [page for page in PAGES if any(block.language in RUN for block in blocks(page))]


@pytest.fixture(scope="module")
def first_world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents") / "first"
    folder.mkdir()
    make_world(folder)
    return folder


@pytest.fixture
def world(first_world, tmp_path, monkeypatch):
    """A world of its own for each page."""
    shutil.copytree(first_world, tmp_path / "world", symlinks=True)
    monkeypatch.chdir(tmp_path / "world")
    yield tmp_path / "world"
    shutil.rmtree(tmp_path / "world", ignore_errors=True)


@pytest.mark.parametrize("page", PAGES)
def test_no_command_hides_from_the_test(page):
    """A block has a known language; commands stand in bash blocks, not in others and not as indented text."""
    unknown = [block.place for block in blocks(page) if block.language not in (*RUN, *SHOWN)]
    assert not unknown, f"blocks of an unknown language: {unknown}"
    hidden = [block.place for block in blocks(page) if block.language in ("text", "yaml") and HIDDEN.search(block.text)]
    assert not hidden, f"commands in blocks that nobody runs: {hidden}"
    indented = [line for line in without_blocks(page).splitlines() if line.startswith("    ") and HIDDEN.match(line)]
    assert not indented, f"commands as indented text: {indented}"
    assert "```" not in without_blocks(page), "a fence that no block explains: is its mark misspelt?"


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_commands_exist_and_accept_their_flags(page, world):
    for block in blocks(page):
        for name, text in WRITTEN.findall(block.text):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text, encoding="utf-8")
        for words in commands(block) if block.language == "bash" else ():
            try:
                check(words)
            except (Exception, pytest.fail.Exception) as error:
                pytest.fail(f"{block.place}: {' '.join(words)}: {error}")


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("page", WITH_BLOCKS if FULL else [page for page in WITH_BLOCKS if page in FIRST])
def test_blocks_run(page, world, need_torch, need_mindspore):
    wanted = ("", "long") if FULL else ("",)
    for block in blocks(page):
        if block.language in RUN and block.mark in wanted:
            code, output = run(block.language, block.text, world, SECONDS)
            assert code == 0, f"{block.place} ended with {code}:\n{block.text}\n{output}"
