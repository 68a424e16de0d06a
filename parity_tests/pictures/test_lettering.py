"""Names of classes in every script: drawn in a font that has them, and told where none has."""

from pathlib import Path

import numpy as np
import pytest

from parity_tests.pictures.font_files import BITMAPS, install, write_font
from segformer_core.data.dataset import Classes
from segformer_core.pictures import complaint, fonts, legend
from segformer_core.pictures.fonts import PREFERRED, fonts_of, undrawn
from segformer_core.pictures.lettering import Lettering, class_names, readable

DEJAVU = "DejaVuSans.ttf"


def named(*names: str) -> Classes:
    return Classes(names, tuple((10 * index, 200, 50) for index in range(len(names))))


@pytest.fixture
def nothing_installed(monkeypatch):
    install(monkeypatch)


@pytest.fixture
def bars(tmp_path, monkeypatch) -> Path:
    """The one installed font: 车 and 道, and a 人 without ink."""
    path = write_font(tmp_path / "bars.ttf", "车道", blank="人")
    install(monkeypatch, path)
    return path


def test_each_character_has_the_first_font_with_its_glyph(bars):
    found = fonts_of("a车道人é")
    assert {character: path.name for character, path in found.items()} == {
        "a": DEJAVU,
        "é": DEJAVU,
        "车": bars.name,
        "道": bars.name,
    }
    assert undrawn("a车道人é") == "人", "a glyph without ink draws nothing"


def test_damaged_files_and_bitmap_fonts_are_passed_over(bars, monkeypatch):
    broken, bitmaps = bars.parent / "broken.ttf", bars.parent / "bitmaps.bdf"
    broken.write_bytes(b"no font")
    bitmaps.write_text(BITMAPS)
    install(monkeypatch, broken, bars.parent / "gone.ttf", bitmaps, bars)
    assert fonts_of("车") == {"车": bars}


def test_fonts_of_chinese_are_asked_before_others(tmp_path, monkeypatch):
    """Also those that were installed after Matplotlib made its list; a font of boxes is none."""
    found = ["zzz.ttf", "LastResort.otf", "wqy-zenhei.ttc", "NotoSansCJK-Regular.ttc", "NotoSansCJK-Black.ttc", "msyh.ttc"]
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [str(tmp_path / name) for name in found])
    order = [path.name for path in fonts._installed.__wrapped__()]
    assert order == ["NotoSansCJK-Regular.ttc", "NotoSansCJK-Black.ttc", "wqy-zenhei.ttc", "msyh.ttc", "zzz.ttf"]
    assert all(start == start.lower() for start in PREFERRED)


def test_a_chinese_legend_shows_its_letters(bars):
    """One glyph differs from the other, from question marks and from the box of a missing glyph."""
    pictures = [legend(named(name), 200) for name in ("车", "道", "??", "\ue000")]
    assert len({picture.tobytes() for picture in pictures}) == 4
    ink = np.argwhere((pictures[0] == (30, 30, 30)).all(-1))
    assert ink.size and np.ptp(ink[ink[:, 0] < 42][:, 0]) >= 10, "a bar of 0.8 of the size of 15 pixels"


def test_names_without_a_font_are_numbers_and_a_sentence(bars):
    names = ["road", "车道", "人行道", "人", "人 (a)"]
    assert class_names(names) == ["road", "车道", "2: 道", "class 3", "4: (a)"]
    assert (legend(named("人"), 200) == legend(named("class 0"), 200)).all()
    assert complaint(names[:2]) == ""
    sentence = "no installed font has 人 行: install Noto Sans CJK (Debian and Ubuntu: fonts-noto-cjk)"
    assert complaint(names[:4]) == sentence


@pytest.mark.usefixtures("nothing_installed")
def test_the_sentence_is_short_and_fits_the_script():
    assert complaint(["一二三四五六七八"]).startswith("no installed font has 一 二 三 四 五 六 and 2 more: install Noto Sans CJK")
    assert (
        complaint(["\u0e44\u0e17\u0e22"]) == "no installed font has ไ ท ย: install a font of that script, such as one of Noto's"
    )
    assert complaint(["naïve Straße", "дорога", "δρόμος", "a\u200db", "c\ufe0f", "x\ty"]) == ""


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    "name", ["two\nlines", "👩\u200d👩\u200d👧", "\udcff", "\x00", "", " ", "\u202eabc", "a" * 5000, "道" * 5000, "$x_2$"]
)
def test_no_name_breaks_a_legend(name):
    picture = legend(named("first", name, "last"), 300)
    assert picture.shape[1] == 300 and picture.shape[0] < 250


def test_a_name_is_one_line(bars):
    assert class_names(["two\nlines"]) == [r"two\nlines"]


def test_long_names_are_cut_where_they_end_in_the_picture(bars):
    lettering = Lettering(["abcdef" * 9], 15)
    short = lettering.shortened("abcdef" * 9, 100)
    assert short.endswith("…") and 85 < lettering.width(short) <= 100 and lettering.shortened("abc", 100) == "abc"
    assert lettering.shortened("abc", 3) == "…"


def test_a_caption_escapes_what_cannot_be_drawn(bars):
    assert readable("车_人_1\n") == r"车_\u4eba_1\n"
