"""Which versions fit: the table in code is the page's, in both languages, and a version is held against what it states."""

import re

import pytest

from parity_tests import ROOT
from segformer_core.device_check.ascend_versions import FITS, WHEEL, begins, check, older
from segformer_core.device_check.outcome import Doubt, NotRun

VERSION = r"\d+\.\d+(?:\.\w+)?"
OLDER = {"docs/ascend.md": "older than", "docs/ascend_CN.md": "早于"}


@pytest.mark.parametrize("page", OLDER)
def test_the_page_has_the_table_of_the_code(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = re.findall(rf"^\| ({VERSION}) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    assert [row[0] for row in rows] == [fit.mindspore for fit in FITS]
    for fit, (_, cann, driver, python, source) in zip(FITS, rows, strict=True):
        stated = re.findall(VERSION, cann)
        assert stated == [*fit.cann, *filter(None, [fit.cann_before])], fit.mindspore
        assert (OLDER[page] in cann) == bool(fit.cann_before)
        assert tuple(re.findall(VERSION, driver)) == fit.driver and tuple(re.findall(VERSION, python)) == fit.python
        links = tuple(re.findall(r"\]\((.*?)\)", source)) or (WHEEL,)
        assert links == fit.sources and (WHEEL not in links or "`mindspore/run_check/_check_version.py`" in source)


def found(mindspore: str | None = "2.10.0", cann: str = "8.5.0", driver: str = "25.5.0", python: str = "3.11.9", **more: str):
    root = "/usr/local/Ascend"
    files = {f"{root}/ascend-toolkit/latest/compiler/version.info": cann, f"{root}/driver/version.info": driver}
    files = {path: version for path, version in files.items() if version} | more
    return check({"mindspore": mindspore, "python": python}, files, None)


FITTING = (
    {},
    {"cann": "8.2.RC1"},
    {"cann": "8.3.0.1"},
    {"cann": "9.1.0"},
    {"mindspore": "2.9.0", "cann": "9.0.0", "driver": "26.0.RC1"},
    {"mindspore": "2.8.0", "cann": "8.3.RC1"},
    {"mindspore": "2.7.2"},
    {"mindspore": "2.7.1", "cann": "8.3.RC1", "driver": "25.3.RC1"},
    {"mindspore": "2.7.1", "cann": "8.3.0.1.200", "driver": "25.3.RC1.2"},
    {"mindspore": "2.7.0", "cann": "8.2.RC1", "driver": "25.2.0"},
    {"driver": ""},
)


@pytest.mark.parametrize("versions", FITTING, ids=str)
def test_what_fits(versions):
    assert found(**versions)["verdict"] == "fits"


DOUBTS = (
    ({"cann": "8.1.RC1"}, "does not fit", "MindSpore 2.10.0 needs CANN 8.2 or 8.3 or 8.5 or 9.0 or 9.1, found 8.1.RC1"),
    ({"mindspore": "2.7.2", "cann": "8.5.1"}, "does not fit", "MindSpore 2.7.2 needs CANN 8.5.0, found 8.5.1"),
    ({"mindspore": "2.7.2", "driver": "25.3.RC1"}, "does not fit", "MindSpore 2.7.2 needs the driver 25.5.0, found 25.3.RC1"),
    ({"mindspore": "2.7.1", "cann": "8.3.RC2", "driver": "25.3.RC1"}, "does not fit", "found 8.3.RC2"),
    ({"mindspore": "2.7.1", "cann": "8.3.0", "driver": "25.3.RC1"}, "does not fit", "needs CANN 8.3.RC1, found 8.3.0"),
    ({"mindspore": "2.7.1", "cann": "8.3.0.2", "driver": "25.3.RC1"}, "does not fit", "needs CANN 8.3.RC1, found 8.3.0.2"),
    ({"mindspore": "2.7.1", "cann": "8.3.RC1", "driver": "25.3.0"}, "does not fit", "needs the driver 25.3.RC1, found 25.3.0"),
    (
        {"mindspore": "2.7.1", "cann": "8.3.RC1", "driver": "25.3.RC1", "python": "3.12.1"},
        "does not fit",
        "needs Python 3.10 or 3.11, found 3.12.1",
    ),
    ({"mindspore": "2.8.0", "cann": "8.5.0"}, "not in the table", "which knows of those before 8.5.0"),
    ({"mindspore": "2.11.0"}, "not in the table", "MindSpore 2.11.0 is not in the table, which has 2.10.0, 2.9.0"),
    ({"cann": ""}, "not in the table", "no file of CANN was found"),
)


@pytest.mark.parametrize(("versions", "verdict", "why"), DOUBTS, ids=[str(row[0]) for row in DOUBTS])
def test_what_does_not_fit_is_a_word_of_warning(versions, verdict, why):
    with pytest.raises(Doubt) as doubt:
        found(**versions)
    assert why in str(doubt.value) and doubt.value.figures["verdict"] == verdict
    assert doubt.value.figures["found"]["mindspore"] == versions.get("mindspore", "2.10.0")


def test_of_several_installations_the_one_in_use_counts():
    others = {"/usr/local/Ascend/cann-8.1.0/compiler/version.info": "8.1.0", "/opt/cann/compiler/version.info": "9.0.0"}
    with pytest.raises(Doubt, match=r"needs CANN .*, found 8\.1\.0"):
        found(**others)
    files = {"/usr/local/Ascend/driver/version.info": "25.5.0", **others}
    assert check({"mindspore": "2.10.0", "python": "3.10.2"}, files, "/opt/cann/")["found"]["cann"] == ["9.0.0"]


@pytest.mark.parametrize(("versions", "why"), [({"mindspore": None}, "MindSpore"), ({"cann": "", "driver": ""}, "no file of")])
def test_where_there_is_nothing_to_compare_it_is_not_run(versions, why):
    with pytest.raises(NotRun, match=why):
        found(**versions)


@pytest.mark.parametrize(
    ("version", "stated", "fits"),
    [("8.50.0", "8.5", False), ("8.5", "8.5.0", False), ("2.10.0rc1", "2.10.0", False), ("25.5.0.b3", "25.5.0", True)],
)
def test_parts_are_compared_whole(version, stated, fits):
    assert begins(version, stated) == fits


def test_a_candidate_is_older_than_its_release():
    assert older("8.5.RC1", "8.5.0") and older("8.3.0.1", "8.5.0") and not older("8.5.0", "8.5.0") and not older("9.0.0", "8.5.0")
