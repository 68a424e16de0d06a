"""Every link of the documents leads to a file and a heading; every picture is there, small and described."""

from pathlib import Path

import pytest

from parity_tests import ROOT
from parity_tests.documents.links import LARGEST_PICTURE, anchor, anchors, faults, pages_of_the_site

DOCS = ROOT / "docs"
PAGES = sorted((*ROOT.glob("*.md"), *DOCS.glob("*.md")))


@pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_every_link_and_picture_is_there(page):
    assert list(faults(page)) == []


def test_every_page_is_in_the_sites_contents_once():
    named = pages_of_the_site(DOCS / "index.md")
    assert sorted(named) == sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "index")


def test_every_picture_is_shown():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [path.name for path in (DOCS / "pictures").iterdir() if path.name not in text] == []


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("Your own images", "your-own-images"),
        ("`base_size` and `crop_size`", "base_size-and-crop_size"),
        ("What is a *label image*?", "what-is-a-label-image"),
        ("A, B – and C++ (2.0)", "a-b--and-c-20"),
        ("See [the table](table.md)", "see-the-table"),
        ("训练：单卡与多卡", "训练单卡与多卡"),
        ("从 `config/` 迁移", "从-config-迁移"),
    ],
)
def test_anchors_are_githubs(heading, name):
    assert anchor(heading) == name


SOUND = """# One
[other](other.md) [part](other.md#two-words-1) [here](#一) [folder](sub) [web](https://example.org/x) <a id="mark"></a> [m](#mark)
![a picture](small.png) <img alt="another" src="small.png"> [![both](small.png)](other.md#one) [title](other.md "a title")
`[code](nowhere.md)` <!-- [comment](nowhere.md) -->
```text
# no heading
[block](nowhere.md)
```
## 一
"""
WRONG = {
    "[a](nowhere.md)": "the link nowhere.md leads to no file",
    "[a](/other.md)": "the link /other.md leads to no file",
    "[a](other.md#three)": "the link other.md#three leads to no heading",
    "[a](#no-heading)": "the link #no-heading leads to no heading",
    "[a](small.png#part)": "the link small.png#part leads to no heading",
    '<a href="nowhere.md">a</a>': "the link nowhere.md leads to no file",
    "![](small.png)": "the picture small.png has no text for those who do not see it",
    '<img src="small.png">': "the picture small.png has no text for those who do not see it",
    "![a](nothing.png)": "there is no picture nothing.png",
    "![a](large.png)": f"the picture large.png has 200,000 bytes; expected less than {LARGEST_PICTURE:,}",
    "[![a](nothing.png)](other.md)": "there is no picture nothing.png",
    "[![a](small.png)](nowhere.md)": "the link nowhere.md leads to no file",
}


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "other.md").write_text("# One\n## Two words\ntext\n## Two words\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "small.png").write_bytes(b"x")
    (tmp_path / "large.png").write_bytes(b"x" * LARGEST_PICTURE)
    return tmp_path


def test_a_sound_page_has_no_fault(folder):
    page = folder / "page.md"
    page.write_text(SOUND, encoding="utf-8")
    assert anchors(page) == {"one", "一", "mark"}
    assert list(faults(page)) == []


@pytest.mark.parametrize(("line", "sentence"), WRONG.items(), ids=list(WRONG))
def test_a_fault_is_named(folder, line, sentence):
    page = folder / "page.md"
    page.write_text(f"{SOUND}\n{line}\n", encoding="utf-8")
    assert list(faults(page)) == [sentence]


def test_a_page_outside_the_contents_is_seen(folder):
    index = folder / "index.md"
    index.write_text("```{eval-rst}\n.. toctree::\n   :hidden:\n\n   one\n   two_CN\n```\ntext\n.. toctree::\n\n   three\n")
    assert pages_of_the_site(index) == ["one", "two_CN", "three"]
