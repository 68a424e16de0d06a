"""What every room uses: short values in messages, and files that are no files."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from parity_tests import ROOT
from segformer_core.errors import BRIEF_LENGTH, brief
from segformer_core.files import special_file

SOURCES = (".md", ".py", ".toml", ".yaml", ".txt")


def nested(levels: int) -> list:
    """A list of nine equal lists, `levels` deep: small in memory, 9 ** levels entries in a `repr`."""
    value: list = [1] * 9
    for _ in range(levels):
        value = [value] * 9
    return value


LARGE = {
    "aliases": nested(30),
    "digits": 10**6000,
    "digits in a list": [10**6000],
    "text": "x" * 10**6,
    "mapping": {key: [key] * 99 for key in range(999)},
    "number": 1.5,
}


@pytest.mark.parametrize("value", LARGE.values(), ids=list(LARGE))
def test_a_value_in_a_message_is_short_and_quick(value):
    start = time.perf_counter()
    text = brief(value)
    assert 0 < len(text) <= BRIEF_LENGTH and "\n" not in text
    assert time.perf_counter() - start < 1


def test_a_short_value_is_shown_whole():
    assert [brief(value) for value in (6e-5, "six", [1, 2, 3, 4], None, -3)] == ["6e-05", "'six'", "[1, 2, 3, 4]", "None", "-3"]


def test_special_files_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("pipe")
    kinds = {
        name: special_file(tmp_path / name) for name in ("pipe", "link", "socket", "file", "nothing", "", "nul\0", "x" * 300)
    }
    assert kinds == {
        "pipe": "a named pipe",
        "link": "a named pipe",
        "socket": "a socket",
        "file": "",
        "nothing": "",
        "": "",
        "nul\0": "",
        "x" * 300: "",
    }
    assert special_file(Path("/dev/zero")) == "a device"


def test_no_file_has_the_marks_of_a_merge():
    marks = tuple(sign * 7 + " " for sign in "<>")
    rooms = [
        ROOT,
        *(
            ROOT / name
            for name in ("docs", "segformer_core", "backend_torch", "backend_mindspore", "parity_tests", "configs", "examples")
        ),
    ]
    files = [path for room in rooms for path in room.glob("*" if room == ROOT else "**/*") if path.suffix in SOURCES]
    assert len(files) > 500
    assert [path for path in files if any(line.startswith(marks) for line in path.read_text(encoding="utf-8").splitlines())] == []


def test_nothing_is_kept_that_programs_leave_behind():
    """MindSpore's graph kernels once left 388 files, which were committed. `.gitignore` names what is no work of ours."""
    words = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no checkout")
    assert done.stdout == ""
