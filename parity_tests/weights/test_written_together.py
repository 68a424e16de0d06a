"""Files that are written together: all of them, or everything stays as it was."""

import os
import resource
import signal
import sys
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from parity_tests.weights.weight_files import weights_of
from segformer_core.commands.convert_model import main
from segformer_core.errors import UserError
from segformer_core.weights import together
from segformer_core.weights.architecture import Architecture
from segformer_core.weights.together import write_together

TINY = Architecture((8, 16, 40, 64), (1, 1, 1, 1), 3, 16, 3)
TARGETS = {
    "x.h5": [],
    "x.pth": [],
    "new/folders/x.safetensors": [],
    "folder": [],
    "new/folder": [],
    "preset": ["--to", "keras_preset"],
    "x_tf.h5": ["--to", "tf"],
}


def state(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@contextmanager
def room_for(size: int):
    """A limit on the size of a file stands in for a full disk. What is printed goes to memory: pytest keeps it in a file."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [0, 3000, 100_000])
@pytest.mark.parametrize("target", TARGETS)
def test_a_full_disk_leaves_nothing(target, size, tmp_path):
    source = weights_of(tmp_path, TINY).source
    before = state(tmp_path)
    with room_for(size), pytest.raises(UserError) as caught:
        main([source, str(tmp_path / target), *TARGETS[target]])
    sentence = str(caught.value)
    assert sentence.startswith(f"cannot write {tmp_path / target}: ") and ".converting" not in sentence and "\n" not in sentence
    assert state(tmp_path) == before


@pytest.mark.parametrize("target", ["folder", "preset"])
def test_a_full_disk_takes_nothing(target, tmp_path):
    source = weights_of(tmp_path, TINY).source
    main([source, str(tmp_path / target), *TARGETS[target]])
    before = state(tmp_path)
    with room_for(100_000), pytest.raises(UserError):
        main([source, str(tmp_path / target), *TARGETS[target], "--force"])
    assert state(tmp_path) == before


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=["OSError", "Ctrl-C"])
@pytest.mark.parametrize("step", range(5))
def test_a_fault_between_two_files_undoes_the_first(step, error, tmp_path, monkeypatch):
    """Three files replace two: the fault comes at each of the moves in turn."""
    folder = tmp_path / "folder"
    folder.mkdir()
    files = [folder / name for name in ("a", "b", "c")]
    for file in files[:2]:
        file.write_text("old")
    before, moves, move = state(tmp_path), iter(range(100)), os.replace

    def faulty(*paths):
        if next(moves) == step:
            raise error
        move(*paths)

    monkeypatch.setattr(together.os, "replace", faulty)
    with pytest.raises((UserError, KeyboardInterrupt)):
        write_together(files, lambda file: file.write_text("new"))
    assert state(tmp_path) == before
    write_together(files, lambda file: file.write_text("new"))
    assert {path.read_text() for path in folder.iterdir()} == {"new"}


def test_a_folder_that_was_there_stays(tmp_path):
    source = weights_of(tmp_path, TINY).source
    (tmp_path / "folder").mkdir()
    with room_for(0), pytest.raises(UserError):
        main([source, str(tmp_path / "folder")])
    assert list((tmp_path / "folder").iterdir()) == []


def test_only_files_are_replaced(tmp_path):
    source = weights_of(tmp_path, TINY).source
    (tmp_path / "x.ckpt").mkdir()
    (tmp_path / "x.ckpt" / "precious").write_text("precious")
    with pytest.raises(UserError, match=r"x.ckpt is a folder and is kept; choose another name"):
        main([source, str(tmp_path / "x.ckpt"), "--force"])
    os.mkfifo(tmp_path / "y.ckpt")
    with pytest.raises(UserError, match=r"y.ckpt is a named pipe and is kept"):
        main([source, str(tmp_path / "y.ckpt"), "--force"])
    assert (tmp_path / "x.ckpt" / "precious").exists() and (tmp_path / "y.ckpt").is_fifo()
    (tmp_path / "folder").write_text("precious")
    with pytest.raises(UserError, match=rf"cannot write {tmp_path / 'folder'}: "):
        main([source, str(tmp_path / "folder"), "--force"])
    assert (tmp_path / "folder").read_text() == "precious"


def test_hdf5_without_h5py_names_the_package(tmp_path, monkeypatch):
    source = weights_of(tmp_path, TINY).source
    before = state(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    for target in ("x.h5", "preset"):
        with pytest.raises(UserError) as caught:
            main([source, str(tmp_path / target), *TARGETS[target]])
        assert "h5py is not installed: run pip install -c constraints.txt" in str(caught.value) and ".converting" not in str(
            caught.value
        )
        assert state(tmp_path) == before


def test_the_temporary_files_lie_on_the_targets_disk(tmp_path):
    seen: list[Path] = []

    def write(file: Path) -> None:
        seen.append(file)
        file.write_text("new")

    write_together([tmp_path / "a" / "x"], write)
    assert seen[0].parent.parent == tmp_path / "a" and [item.name for item in (tmp_path / "a").iterdir()] == ["x"]
