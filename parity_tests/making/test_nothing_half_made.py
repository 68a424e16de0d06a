"""The new folder is there whole or not at all, whatever ends the command; the sources stay as they are."""

import errno
import os
import signal

import pytest

from parity_tests.making.samples import contents, flat, made, make, placed, refused
from segformer_core.cli import program
from segformer_core.interrupt import SIGNALLED
from segformer_core.making import writing


def at_the_third_file(monkeypatch, happens) -> list:
    """What is to happen in place of the copy of the third file; returns the files that were begun."""
    begun, copy = [], writing.WAYS["copy"]

    def way(source, place):
        begun.append(place)
        if len(begun) == 3:
            place.write_bytes(b"half")
            happens()
        copy(source, place)

    monkeypatch.setitem(writing.WAYS, "copy", way)
    return begun


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing(number, tmp_path, monkeypatch, capsys):
    words = flat(tmp_path)
    before = contents(tmp_path)
    begun = at_the_third_file(monkeypatch, lambda: signal.raise_signal(number))
    code, _ = make(tmp_path, *words)
    assert code == SIGNALLED + number and len(begun) == 3
    assert begun[2].parts[len(tmp_path.parts)].startswith(".new."), "beside the target, and hidden"
    assert contents(tmp_path) == before
    assert capsys.readouterr().err.endswith(f"stopped by {number.name}\n")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, capsys):
    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    at_the_third_file(monkeypatch, full)
    said = refused(tmp_path, capsys, *flat(tmp_path))
    assert said == f"error: cannot write {tmp_path}/new: No space left on device; choose another place\n"


def test_a_mistake_of_ours_leaves_nothing(tmp_path, monkeypatch):
    words = flat(tmp_path)
    before = contents(tmp_path)
    at_the_third_file(monkeypatch, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(tmp_path, *words)
    assert contents(tmp_path) == before


def test_a_target_that_appears_meanwhile_is_kept(tmp_path, monkeypatch, capsys):
    def other():
        (tmp_path / "new").mkdir()
        (tmp_path / "new/mine").write_text("x")

    words = flat(tmp_path)
    at_the_third_file(monkeypatch, other)
    code, folder = make(tmp_path, *words)
    assert code == 2 and [path.name for path in folder.iterdir()] == ["mine"]
    assert not list(tmp_path.glob(".new*")) and "cannot write" in capsys.readouterr().err


def test_folders_above_the_target_are_made_at_the_end(tmp_path, monkeypatch):
    words = flat(tmp_path)
    before = contents(tmp_path)
    assert program(["make_dataset", str(tmp_path / "deep/er/new"), *words, "--classes", "a"]) == 2
    assert contents(tmp_path) == before
    assert program(["make_dataset", str(tmp_path / "deep/er/new"), *words]) == 0
    assert (tmp_path / "deep/er/new/dataset.yaml").is_file() and not list((tmp_path / "deep").glob(".*"))


@pytest.mark.parametrize("way", ["hard", "symbolic"])
def test_links_in_place_of_copies(way, tmp_path):
    words = flat(tmp_path)
    made(tmp_path, *words, "--link", way)
    for name, split in placed(tmp_path / "new").items():
        image = tmp_path / f"new/images/{split}/{name}.jpg"
        assert image.samefile(tmp_path / f"photos/{name}.jpg") and image.is_symlink() == (way == "symbolic")


def test_a_link_that_cannot_be_made_is_one_sentence(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    assert "cannot be linked (Invalid cross-device link); leave --link out" in refused(
        tmp_path, capsys, *flat(tmp_path), "--link", "hard"
    )


def test_masks_among_the_images_of_a_closed_folder(tmp_path, capsys):
    words = flat(tmp_path)
    assert "no such folder: " in refused(tmp_path, capsys, *words[:2], "--masks", tmp_path / "none")
