"""Ctrl-C, SIGTERM and a terminal that closes end every command alike: cleaned up, in one line, with 128 + the signal's number."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from parity_tests import ROOT
from segformer_core import interrupt
from segformer_core.cli import exit_code, main
from segformer_core.export.fresh import run_afresh
from segformer_core.files import atomic_write
from segformer_core.interrupt import SIGNALLED, SIGNALS, Stopped, StopRequest, one_way_out, stop_request
from segformer_core.protocol.learner import Processes


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_command_in_one_line_and_leaves_no_temporary_file(number, tmp_path, capsys):
    before = {each: signal.getsignal(each) for each in SIGNALS}

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        signal.raise_signal(number)

    assert exit_code(lambda: atomic_write(tmp_path / "file.txt", write)) == SIGNALLED + number
    assert capsys.readouterr().err == f"stopped by {number.name}\n"
    assert not list(tmp_path.iterdir())
    assert {each: signal.getsignal(each) for each in SIGNALS} == before


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with one_way_out():
            signal.raise_signal(signal.SIGHUP)
        with stop_request() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.signal_number
    finally:
        signal.signal(signal.SIGHUP, before)


ON_THE_WAY_OUT = """
import signal, time
from segformer_core import interrupt
from segformer_core.cli import exit_code
interrupt.REPEAT_SECONDS = %s
def run():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(%s)
        print("cleaned", flush=True)
raise SystemExit(exit_code(run))
"""


@pytest.mark.parametrize(
    ("first", "second", "after", "seconds", "code", "said"),
    [
        (signal.SIGTERM, signal.SIGTERM, 1, 60, -signal.SIGTERM, ""),  # the same again ends it at once
        (signal.SIGINT, signal.SIGINT, 1, 60, -signal.SIGINT, ""),
        (signal.SIGTERM, signal.SIGTERM, 0, 2, 143, "cleaned\n"),  # a scheduler and a launcher both send it: that is one
        (signal.SIGINT, signal.SIGTERM, 0, 2, 130, "cleaned\n"),  # a launcher sends another: what has begun is ended in peace
        (signal.SIGHUP, signal.SIGHUP, 1, 3, 129, "cleaned\n"),  # the shell and the system both send it
    ],
)
def test_a_second_signal(first, second, after, seconds, code, said):
    command = [sys.executable, "-c", ON_THE_WAY_OUT % (0.5 if after else 60, seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        assert process.stdout.readline() == "cleaning\n"
        time.sleep(after)
        process.send_signal(second)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest) == (code, said)
    assert errors == (f"stopped by {first.name}\n" if said else "")


IN_ONE_CALL = """
import hashlib
from segformer_core import interrupt
from segformer_core.cli import exit_code
interrupt.REPEAT_SECONDS = 0.5
interrupt.PATIENCE_SECONDS = 0.5
def run():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # one call of an hour, which looks at no signal
raise SystemExit(exit_code(run))
"""


def test_the_second_signal_ends_a_long_call():
    with subprocess.Popen([sys.executable, "-c", IN_ONE_CALL], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == SIGNALLED + signal.SIGTERM


def test_training_takes_the_first_signal_as_a_request_and_the_second_as_an_end(monkeypatch):
    with one_way_out(), stop_request() as stop:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):  # sent twice within moments, it is one
            signal.raise_signal(number)
        assert stop.signal_number == signal.SIGTERM
        monkeypatch.setattr(interrupt, "REPEAT_SECONDS", 0.0)
        with pytest.raises(Stopped, match="SIGTERM"):
            signal.raise_signal(signal.SIGTERM)


def test_a_terminal_that_closes_may_say_so_twice():
    with stop_request() as stop:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    assert stop.signal_number == signal.SIGHUP


def test_handlers_are_for_the_main_thread_alone():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(exit_code(lambda: 0)))
    thread.start()
    thread.join()
    assert codes == [0]


def test_the_process_that_runs_an_exported_file_ends_with_the_command(tmp_path, monkeypatch, capsys):
    started = tmp_path / "pid"
    python = tmp_path / "python"
    python.write_text(f"#!/bin/bash\necho $$ > {started}.new && mv {started}.new {started}\nexec sleep 60\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def stop() -> None:
        while not started.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    backend = SimpleNamespace(name="torch", device="cpu", device_id=0)

    def run() -> None:
        with run_afresh(backend, tmp_path / "x.onnx", [np.zeros(1)]) as outputs:
            outputs()

    assert exit_code(run) == SIGNALLED + signal.SIGTERM
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    assert {path.name for path in tmp_path.iterdir()} == {"pid", "python"}
    assert capsys.readouterr().err == "stopped by SIGTERM\n"


def test_a_stopped_conversion_leaves_no_process_and_no_half_written_label(tmp_path):
    labels = tmp_path / "city/gtFine/train/town"
    labels.mkdir(parents=True)
    road = {"label": "road", "polygon": [[0, 0], [2000, 0], [2000, 1000], [0, 1000]]}
    for name in range(16):
        content = {"imgHeight": 1024, "imgWidth": 2048, "objects": [road] * 200}
        (labels / f"town_{name}_gtFine_polygons.json").write_text(json.dumps(content))
    command = [sys.executable, "-m", "segformer_core", "convert_dataset", str(tmp_path / "city"), "--nproc", "2"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    while process.poll() is None and not list(tmp_path.rglob("*labelTrainIds.png")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (143, "stopped by SIGTERM\n")
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert len(list(labels.glob("*labelTrainIds.png"))) < 16, "the test came too late"
    deadline = time.monotonic() + 10  # Python's own helper of multiprocessing ends a moment later
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.05)


@pytest.mark.parametrize("error", [RuntimeError, Stopped])
def test_a_command_leaves_the_other_processes_however_it_ends(error, monkeypatch):
    left = []
    processes = Processes(0, 1, np.array, lambda: left.append(1))

    def command(config, connect) -> None:
        connect(config.runtime)
        raise error(signal.SIGTERM)

    monkeypatch.setitem(main.__globals__["COMMANDS"], "evaluate", command)
    with suppress(RuntimeError):
        assert main("evaluate", lambda _: SimpleNamespace(processes=processes), []) == 143
    assert left == [1]


def test_a_request_that_lost_its_output_is_one():
    stop = StopRequest()
    stop.output_lost(OSError())
    assert stop.signal_number == signal.SIGPIPE
