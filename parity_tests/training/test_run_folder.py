"""A run's folder as disks and users leave it: full, gone, no folder, with other files under our names."""

import gc
import json
import os
import shutil
from pathlib import Path

import pytest

from parity_tests.training.test_damaged_checkpoints import Weights, opened
from segformer_core.errors import UserError
from segformer_core.files import temporary_name, write_text
from segformer_core.training.curves import draw_curves
from segformer_core.training.log import Log
from segformer_core.training.metrics import read_metrics
from segformer_core.training.tensorboard import Board

FULL_DISK = Path("/dev/full")
"""Takes no byte: "No space left on device"."""

BROKEN = {
    "not JSON": b"step 2: fine",
    "no object": b"[2, 0.5]",
    "a number": b"2",
    "no step": b'{"loss": 0.5}',
    "a step in words": b'{"step": "two", "loss": 0.5}',
    "a step that is true": b'{"step": true}',
    "a negative step": b'{"step": -1}',
    "a text for a number": b'{"step": 2, "miou": "high"}',
    "a list for a number": b'{"step": 2, "miou": [0.5]}',
    "binary": b"\x00\xff\xfe\x80" * 10,
    "brackets": b"[" * 100_000,
    "an integer of 400 digits": b'{"step": 2, "loss": 1' + b"0" * 400 + b"}",
    "an empty line": b"",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_line_of_the_metrics_is_left_out_and_said(what, tmp_path, capsys):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "loss": 0.5}\n' + BROKEN[what] + b'\n{"step": 3, "miou": 0.25}\n')
    draw_curves(tmp_path)
    log = Log()
    kept = log.record(tmp_path, 5, tensorboard=False)
    log.close()
    wanted = [{"step": 1, "loss": 0.5}, {"step": 3, "miou": 0.25}]
    assert kept == wanted and [json.loads(line) for line in path.read_text().splitlines()] == wanted
    sentence = f"WARNING: {path} holds 1 lines that are no metrics, first line 2; they are left out\n"
    assert capsys.readouterr().out == sentence


def test_what_is_no_finite_number_is_unknown(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": NaN}\n{"step": 2, "loss": -Infinity}\n{"step": 3, "loss": null}\n{"step": 4, "lo')
    metrics = read_metrics(path)
    assert metrics.entries == tuple({"step": step, "loss": None} for step in (1, 2, 3)) and metrics.broken == ()
    draw_curves(tmp_path)


def test_a_full_disk_while_the_metrics_grow(tmp_path):
    """The sentence names the way on; closing the log afterwards raises nothing."""
    log = Log()
    log.record(tmp_path, 0, tensorboard=False)
    log._metrics.close()
    log._metrics = FULL_DISK.open("a")
    sentence = "cannot write /dev/full: No space left on device; the checkpoints so far are sound: free some space, and the same"
    with pytest.raises(UserError, match=sentence):
        log.metrics(1, loss=0.5)
    log.close()


def test_a_full_disk_under_tensorboard(tmp_path):
    board = Board(tmp_path / "tensorboard", 0)
    board._file.close()
    board._file = FULL_DISK.open("ab")
    board._writer._writer = board._file
    with pytest.raises(UserError, match=r"cannot write .*tfevents.*: No space left on device; the checkpoints so far are sound"):
        board.write(1, {"loss": 0.5})
    board.close()


def test_tensorboard_is_a_file(tmp_path):
    (tmp_path / "tensorboard").touch()
    sentence = "cannot write in folder .*tensorboard: File exists; move away what has its name, or set tensorboard False"
    with pytest.raises(UserError, match=sentence):
        Log().record(tmp_path, 0, tensorboard=True)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("curves.png", lambda path: draw_curves(path.parent)),
        ("segformer_mit_custom_1.safetensors", lambda path: opened(path.parent).save(Weights(1), 1, 10)),
        ("segformer_mit_custom_best.safetensors", lambda path: opened(path.parent).save_if_best(Weights(1), 10, 0.5)),
        ("metrics.jsonl", lambda path: Log().record(path.parent, 0, tensorboard=False)),
        ("result.json", lambda path: write_text(path, "{}")),
    ],
)
def test_a_full_disk_keeps_what_was_there(name, write, tmp_path):
    (tmp_path / name).write_text('{"step": 0}\n')
    temporary_name(tmp_path / name, os.getpid()).symlink_to(FULL_DISK)
    with pytest.raises(UserError, match=f"cannot write {tmp_path / name}: No space left on device; free some space"):
        write(tmp_path / name)
    assert (tmp_path / name).read_text() == '{"step": 0}\n'
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_folder_goes_away_in_the_middle_of_a_run(tmp_path):
    folder = tmp_path / "run"
    checkpoints = opened(folder)
    checkpoints.take(print)
    log = Log()
    log.record(folder, 0, tensorboard=False)
    shutil.rmtree(folder)
    log.metrics(1, loss=0.5)
    for write in (
        lambda: checkpoints.save(Weights(1), 1, 10),
        lambda: checkpoints.save_if_best(Weights(1), 10, 0.5),
        lambda: draw_curves(folder),
    ):
        with pytest.raises(UserError, match=f"cannot write {folder}/.*: its folder is not there any more; choose another"):
            write()
    log.close()
    checkpoints.release()


def test_pictures_leave_no_garbage(tmp_path):
    """A figure of its own for each picture is cyclic garbage of about 5 MB, which Python collects late in a large program."""
    (tmp_path / "metrics.jsonl").write_text("".join(f'{{"step": {step}, "loss": 0.5}}\n' for step in range(100)))
    draw_curves(tmp_path)
    gc.disable()
    try:
        before = resident_bytes()
        for _ in range(12):
            draw_curves(tmp_path)
        assert resident_bytes() - before < 25 * 2**20
    finally:
        gc.enable()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("place", "why"), [("a file", "File exists"), ("below a file", "Not a directory"), ("/proc/run", ".*")])
def test_what_can_be_no_folder_of_a_run(place, why, tmp_path):
    (tmp_path / "a file").touch()
    folder = {"a file": tmp_path / "a file", "below a file": tmp_path / "a file/run"}.get(place, Path(place))
    with pytest.raises(UserError, match=f"cannot write in folder {folder}: {why}; choose another"):
        opened(folder)


@pytest.mark.parametrize("kind", ["a folder", "a named pipe"])
def test_something_else_has_the_lock_files_name(kind, tmp_path):
    if kind == "a folder":
        (tmp_path / "run.lock").mkdir()
    else:
        os.mkfifo(tmp_path / "run.lock")
    with pytest.raises(UserError, match="run.lock"):
        opened(tmp_path)
