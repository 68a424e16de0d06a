"""Fixtures that the tests of the launch scripts and of the rank table share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from parity_tests.commands.launcher_bench import TABLE_OF_TWO, Bench


@pytest.fixture(autouse=True)
def a_terminal_that_closes_counts() -> Iterator[None]:
    """The suite itself may run under nohup, whose processes ignore SIGHUP, as do the processes that they start."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder, which is the current one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def bench(folder, tmp_path) -> Bench:
    return Bench(folder, tmp_path)


@pytest.fixture
def two(tmp_path) -> Path:
    """The file of a rank table of two devices."""
    (tmp_path / "two.json").write_text(TABLE_OF_TWO)
    return tmp_path / "two.json"
