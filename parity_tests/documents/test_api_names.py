"""The names of the Python API's pages exist, without Sphinx; the site shows their docstrings, so each has one."""

import inspect
import re
from importlib import import_module

import pytest

from parity_tests.documents.blocks import page_text

REFERENCE = page_text("docs/api-reference.md")
NAMES = re.findall(r"^\.\. auto(?:function|class):: (\S+)$", REFERENCE, re.MULTILINE)
MEMBERS = re.findall(r"^\.\. auto(?:class|module):: (\S+)\n +:members: (.+)$", REFERENCE, re.MULTILINE)
ROW = re.compile(r"^\| ((?:`\w+`[,;]? ?)+)\| .* \| ((?:`[\w.…]+`[,;]? ?)+)\|$", re.MULTILINE)


def named(path: str) -> object:
    """The module, or what a module holds, of a dotted name."""
    try:
        return import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name)


@pytest.mark.parametrize("name", [*NAMES, *(f"{owner}.{name}" for owner, names in MEMBERS for name in names.split(", "))])
def test_a_name_of_the_reference_exists_and_is_explained(name):
    owner, _, last = name.rpartition(".")
    thing = named(name) if name in NAMES else getattr(named(owner), last)
    text = inspect.getdoc(thing)
    assert text and not text.startswith(f"{last}(")  # a dataclass without a docstring has its signature there


def test_every_name_of_the_guide_is_in_the_reference():
    """But for the bare networks, which need their frameworks to be imported."""
    rows = [
        (re.findall(r"`(\w+)`", names), re.findall(r"`([\w.…]+)`", modules))
        for names, modules in ROW.findall(page_text("docs/api.md"))
    ]
    assert len(rows) > 10
    listed = {name.rpartition(".")[2] for name in NAMES}
    assert {name for names, _ in rows for name in names} - {"SegFormer"} <= listed
