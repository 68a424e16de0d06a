"""train and val: the same names give the same split, groups stay whole, and lists and shares are held."""

from pathlib import Path

import pytest

from parity_tests.making.samples import flat, made, photo, placed, refused
from segformer_core.errors import ConfigError, UserError
from segformer_core.making.splitting import SplitRule, natural, split

NAMES = [f"video{video}_{frame:02d}" for video in range(6) for frame in range(10)]


def held(images, **rule) -> set[str]:
    return {name for name, part in split(images, SplitRule(**rule)).items() if part == "val"}


def test_a_share_is_drawn_by_name_alone():
    drawn = held(NAMES, val=0.25)
    assert len(drawn) == 15
    assert held(NAMES[::-1], val=0.25) == drawn
    assert held(NAMES, val=0.25, seed=1) != drawn
    fewer = held(NAMES[:-1], val=0.25)
    assert len(drawn ^ fewer) <= 2, "an image that is taken away does not deal the others anew"
    assert len(held(NAMES)) == 12, "a fifth, if nothing is said"
    assert len(held(["a", "b"], val=0.01)) == 1 and len(held(["a", "b"], val=0.99)) == 1


def test_groups_stay_whole():
    drawn = held(NAMES, val=0.3, group=r"(video\d+)_")
    assert len({name[:6] for name in drawn}) == 2 and len(drawn) == 20
    assert held(NAMES, val=0.3, group=r"(video\d+)_") == drawn
    uneven = [*(f"a_{index}" for index in range(97)), "b_1", "c_1", "c_2"]
    for seed in range(6):
        assert 0 < len(held(uneven, val=0.2, group="(.)_", seed=seed)) < 4, "the large group is no fifth"


def test_the_last_slices_in_natural_order():
    assert held([f"slice{index}" for index in range(12)], last=0.25) == {"slice9", "slice10", "slice11"}
    assert sorted(["a10b", "a9b", "a9a", "b"], key=natural) == ["a9a", "a9b", "a10b", "b"]


def test_a_list_of_names(tmp_path):
    (tmp_path / "val.txt").write_text("# mine\nb\nc.jpg\nfolder/d.jpg\n\n")
    assert held(["a", "b", "c", "d", "e.x"], names=tmp_path / "val.txt") == {"b", "c", "d"}


@pytest.mark.parametrize(
    ("names", "rule", "text", "sentence"),
    [
        (["a"], {}, "", "there is 1 image; expected at least two"),
        (["a1", "b1"], {"group": "(1)"}, "", "puts all 2 images into one group, '1'; expected at least two"),
        (["a1", "b"], {"group": r"(\d)"}, "", "does not fit the name 'b'"),
        (["a", "b"], {"group": "a"}, "", "has no group in parentheses"),
        (["a", "b"], {"group": "("}, "", "is no regular expression: "),
        (["a", "b"], {"names": "LIST"}, "a\nz\n", "lists 'z', and no image has this name"),
        (["a", "b"], {"names": "LIST"}, "a\nb\n", "all 2 images would be val; leave some for train"),
        (["a", "b"], {"names": "LIST"}, "#\n", "lists no image; expected a name a line"),
        (["a", "b"], {"names": "NONE"}, "", "cannot read .*: No such file"),
    ],
)
def test_each_mistake_is_one_sentence(names, rule, text, sentence, tmp_path):
    (tmp_path / "LIST").write_text(text)
    rule = {key: tmp_path / value if key == "names" else value for key, value in rule.items()}
    with pytest.raises(UserError, match=sentence):
        split(names, SplitRule(**rule))


def test_two_ways_to_split_are_refused():
    with pytest.raises(ConfigError, match="--val and --val_list are two ways"):
        SplitRule(val=0.1, names=Path("x"))
    with pytest.raises(ConfigError, match="leave it out with --val_last"):
        SplitRule(last=0.1, group="(a)")


def test_the_command_splits_by_its_options(tmp_path, capsys):
    words = flat(tmp_path, names=NAMES[:20])
    made(tmp_path, *words, "--val", "0.5", "--group", r"(video\d)_")
    assert {name for name, part in placed(tmp_path / "new").items() if part == "val"} in ({*NAMES[:10]}, {*NAMES[10:20]})
    assert "10 train, 10 val (--val 0.5 --seed 0: by name, whole groups of --group" in capsys.readouterr().out


def test_a_share_is_between_0_and_1(tmp_path, capsys):
    photo(tmp_path / "x.png")
    for share in ("0", "1", "20", "nan", "x"):
        assert "is no share; expected a number between 0 and 1, such as 0.2" in refused(
            tmp_path, capsys, "--images", tmp_path, "--val", share
        )
