"""One run holds a folder: the second is refused and told who does; the hold ends with its process."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from parity_tests import ROOT
from parity_tests.training.test_checkpoints import Weights, checkpoints_in, refuse_line
from parity_tests.training_runs import SLOW_IN_MINDSPORE, finished, start
from segformer_core.commands.train import take_folder
from segformer_core.errors import TrainingError
from segformer_core.protocol.learner import ALONE, Processes
from segformer_core.training.hold import LOCK, Hold

HOLDER = (
    "import sys; from pathlib import Path; from segformer_core.training.hold import Hold\n"
    "hold = Hold(Path(sys.argv[1])); hold.take(print); print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def another_run(folder):
    """A process that holds the folder."""
    folder.mkdir(exist_ok=True)
    words = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_run_is_refused_and_told_who_holds_the_folder(tmp_path):
    folder = tmp_path / "run"
    with another_run(folder) as holder:
        half_written = folder / f".segformer_mit_b0_3.{holder.pid}.safetensors"
        half_written.touch()
        sentence = (
            rf"^{folder} is held by another run \(host '.+', process {holder.pid}, since '\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC', "
            r"command .python.* -c .*\); wait for its end, stop it, or choose another checkpoint_path$"
        )
        with pytest.raises(TrainingError, match=re.compile(sentence, re.DOTALL)):
            checkpoints_in(folder)
        with pytest.raises(TrainingError, match=f"process {holder.pid}"):
            Hold(folder).take(refuse_line)
        assert half_written.exists(), "the other run is writing it"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    checkpoints = checkpoints_in(folder)
    checkpoints.take(refuse_line)
    assert [path.name for path in folder.iterdir()] == [LOCK], "a killed run's half-written file is deleted"
    checkpoints.release()


def test_a_child_process_does_not_keep_the_folder(tmp_path):
    """As the workers of a data loader, which may live on for a while after their parent was killed."""
    program = HOLDER.replace("print('held'", "import os, time; os.fork() or time.sleep(60); print('held'")
    words = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout.readline() == b"held\n"
        process.kill()
        process.stdout.close()
        process.wait()
        try:
            Hold(tmp_path).check()
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_what_a_lock_file_says_does_not_hold_a_folder(tmp_path):
    """Only the lock counts: the file stays after a run, and may be anything."""
    for content in ('{"host": "h", "process": 1}', "", "\x00[", "[1]"):
        (tmp_path / LOCK).write_text(content)
        checkpoints = checkpoints_in(tmp_path)
        checkpoints.take(refuse_line)
        checkpoints.release()


def test_a_file_system_without_locks_costs_one_warning(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    lines: list[str] = []
    checkpoints = checkpoints_in(tmp_path)
    checkpoints.take(lines.append)
    assert lines == [
        f"WARNING: {tmp_path / LOCK} cannot be locked (No locks available): a second run in this folder would not be noticed"
    ]
    checkpoints.release()


def test_a_run_that_came_and_went_while_this_one_was_starting(tmp_path):
    checkpoints = checkpoints_in(tmp_path)
    assert checkpoints.to_resume("auto", refuse_line) is None
    checkpoints_in(tmp_path).save(Weights(), 1, 10)
    with pytest.raises(TrainingError, match="another run has changed .* while this one was starting; start this one again"):
        checkpoints.take(refuse_line)
    Hold(tmp_path).check()


def test_of_several_processes_the_first_holds_the_folder(tmp_path):
    checkpoints = checkpoints_in(tmp_path)
    take_folder(checkpoints, Processes(1, 2, lambda array: array + 0), refuse_line)
    assert not (tmp_path / LOCK).exists()
    with pytest.raises(TrainingError, match="the first process cannot hold .*; its own message says why"):
        take_folder(checkpoints, Processes(1, 2, lambda array: array + 1), refuse_line)
    take_folder(checkpoints, ALONE, refuse_line)
    assert (tmp_path / LOCK).exists()
    checkpoints.release()


@pytest.mark.parametrize("first", SLOW_IN_MINDSPORE)
@pytest.mark.timeout(1200)
def test_two_runs_in_one_folder(first, run_keys, tmp_path, need_torch, need_mindspore):
    """The first goes on undisturbed."""
    keys = run_keys | {"checkpoint_path": tmp_path, "run_eval": False, "epoch_size": 400}
    process = start(f"backend_{first}", keys)
    try:
        assert any(line.startswith("Epoch 2/") for line in process.stdout)
        code, said = finished(start("backend_torch", keys))
        assert code == 2 and said.count("\n") == 1, said
        holder = rf"error: {tmp_path} is held by another run \(host .*, process {process.pid}, since .*backend_{first}.*"
        assert re.fullmatch(holder, said.rstrip()), said
        assert process.poll() is None
    finally:
        process.terminate()
        rest = process.communicate()[0]
    assert process.returncode == 128 + signal.SIGTERM and "SIGTERM: stopped after step" in rest, rest
    Hold(tmp_path).check()
