"""What the project says to contributors is true: paths and make targets exist, versions agree, and the issue forms are forms."""

import re

import pytest
import yaml

import segformer_core
from parity_tests import ROOT
from parity_tests.documents.known_commands import make_targets

CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"\.?[\w.*-]+(?:/[\w.*-]+)*/?")
SUFFIXES = (".py", ".md", ".txt", ".toml", ".yaml", ".yml", ".cff")
PLACEHOLDER = "NAME"
PAGES = ("CONTRIBUTING.md", "SECURITY.md", ".github/pull_request_template.md")
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
ELEMENTS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
WRITTEN_BY_USERS = {"dataset.yaml", "layers.py"}
"""Names that stand for a file in several folders."""


def paths(text: str) -> list[str]:
    """The paths in the code of a page: what has a folder or the ending of a file of ours."""
    found = [word for code in CODE.findall(text) for word in code.split() if PATH.fullmatch(word)]
    return [path for path in found if "/" in path or path.endswith(SUFFIXES)]


def targets(text: str) -> list[str]:
    return [name for code in CODE.findall(text) for name in re.findall(r"^make ([\w-]+)", code)]


def missing_paths(text: str) -> list[str]:
    wanted = [path for path in paths(text) if path not in WRITTEN_BY_USERS]
    return [path for path in wanted if not any(ROOT.glob(path.rstrip("/").replace(PLACEHOLDER, "*")))]


def missing_targets(text: str) -> list[str]:
    return [name for name in targets(text) if name not in make_targets()]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page):
    assert missing_paths((ROOT / page).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_exists(page):
    assert missing_targets((ROOT / page).read_text(encoding="utf-8")) == []


def test_contributing_names_many_of_both():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(set(paths(text))) > 30 and {"check", "test", "test-all", "docs", "parity-report"} <= set(targets(text))


def test_what_does_not_exist_is_found():
    text = "`tools/NAME.py`, `tools/no_such.py`, `no/such.md`, `pytest parity_tests/none`, `a word`, `make test`, `make tests`"
    assert missing_paths(text) == ["tools/no_such.py", "no/such.md", "parity_tests/none"]
    assert missing_targets(text) == ["tests"]


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == segformer_core.__version__
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == ["Unreleased", segformer_core.__version__]
    assert f"| {segformer_core.__version__.rpartition('.')[0]} | yes |" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    pages = [ROOT / "docs/ascend.md", ROOT / "docs/ascend_CN.md"]
    wheels = {name for page in pages for name in re.findall(r"segformer_twins-([\d.]+)-py3", page.read_text(encoding="utf-8"))}
    assert wheels == {segformer_core.__version__}


def test_the_citation_has_what_readers_of_it_ask_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and {"message", "title", "abstract"} <= citation.keys()
    assert citation["license"] == re.search(r'^license = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    (paper,) = citation["references"]
    names = ["Xie", "Wang", "Yu", "Anandkumar", "Alvarez", "Luo"]
    assert [author["family-names"] for author in paper["authors"]] == names
    assert paper["identifiers"][0]["value"] == "arXiv:2105.15203" and paper["year"] == 2021


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_an_issue_form_is_one(form):
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    if form.stem == "config":
        assert isinstance(content["blank_issues_enabled"], bool)
        return
    assert {"name", "description", "body"} <= content.keys()
    ids = [element["id"] for element in content["body"] if element["type"] != "markdown"]
    assert ids and len(set(ids)) == len(ids) and all(re.fullmatch(r"[\w-]+", name) for name in ids)
    for element in content["body"]:
        assert element["type"] in ELEMENTS and isinstance(element["attributes"], dict)
        assert element["attributes"].get("value" if element["type"] == "markdown" else "label")
        assert isinstance(element.get("validations", {}).get("required", False), bool)


def test_every_form_asks_for_the_json_of_a_device():
    for form in FORMS:
        text = form.read_text(encoding="utf-8")
        if form.stem != "config":
            assert "make check-ascend" in text and "segformer check_device" in text, form
            (asked,) = [item for item in yaml.safe_load(text)["body"] if item.get("id") == "check_device"]
            assert asked["validations"]["required"] and asked["attributes"]["render"] == "json"
