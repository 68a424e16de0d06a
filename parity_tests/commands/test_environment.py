"""What launchers leave in the environment: whom a process waits for, values that no launcher sets, and DEVICE_ID."""

import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from parity_tests import ROOT
from parity_tests.conftest import need
from segformer_core.cli import USERS_MISTAKE, exit_code
from segformer_core.commands.opening import describe
from segformer_core.config.keys import RuntimeConfig
from segformer_core.errors import BackendError
from segformer_core.protocol.launch import Group, chosen_device, joining
from segformer_core.protocol.learner import Precision
from segformer_core.spec.model import segformer

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "DEVICE_ID")
VARIABLES += (
    "MS_ROLE",
    "MS_WORKER_NUM",
    "MS_SCHED_HOST",
    "MS_SCHED_PORT",
    "MS_NODE_ID",
    "RANK_TABLE_FILE",
    "RANK_SIZE",
    "RANK_ID",
)
TWO = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
WORKER = {"MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": "2", "MS_SCHED_HOST": "localhost", "MS_SCHED_PORT": "8118"}
TABLE = {"RANK_TABLE_FILE": "no_table.json", "RANK_SIZE": "2", "RANK_ID": "0"}


@pytest.fixture
def environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def set_variables(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"RANK": "abc"}, "the environment variable RANK is 'abc'; expected a whole number from 0 to 1"),
        ({"RANK": "2"}, "the environment variable RANK is '2'; expected a whole number from 0 to 1"),
        ({"RANK": "9" * 5000}, "the environment variable RANK is '9999"),
        ({"WORLD_SIZE": "0"}, "the environment variable WORLD_SIZE is '0'; expected a whole number from 1"),
        ({"WORLD_SIZE": ""}, "the environment variable WORLD_SIZE is ''; expected a whole number from 1"),
        (
            {"MASTER_ADDR": ""},
            "RANK is set and MASTER_ADDR is not; start the processes with msrun or torchrun, or unset RANK to run",
        ),
        ({"MASTER_PORT": "70000"}, "the environment variable MASTER_PORT is '70000'; expected a whole number from 1 to 65535"),
    ],
)
def test_what_torchrun_never_says(variables, sentence, environment, need_torch):
    from backend_torch.distributed import group, launched

    environment(TWO | variables)
    assert launched()
    with pytest.raises(BackendError) as raised:
        group()
    assert str(raised.value).startswith(sentence) and len(str(raised.value)) < 250


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (WORKER | {"MS_ROLE": "worker"}, "MS_ROLE is 'worker'; expected MS_WORKER or MS_SCHED; unset it to run alone"),
        ({"MS_ROLE": "MS_WORKER"}, "MS_ROLE is set and MS_WORKER_NUM is not; start the processes with msrun"),
        (WORKER | {"MS_WORKER_NUM": "many"}, "MS_WORKER_NUM is 'many'; expected a whole number from 1"),
        (WORKER | {"MS_SCHED_HOST": ""}, "MS_ROLE is set and MS_SCHED_HOST is not"),
        (WORKER | {"MS_SCHED_PORT": "-1"}, "MS_SCHED_PORT is '-1'; expected a whole number from 1 to 65535"),
        (WORKER | {"MS_NODE_ID": "x"}, "MS_NODE_ID is 'x'; expected a whole number from 0"),
        (TABLE, "RANK_TABLE_FILE is set, for 2 Ascend devices, and this process runs on a CPU; unset it to run alone"),
    ],
)
def test_what_msrun_never_says(variables, sentence, environment, need_mindspore):
    from backend_mindspore.distributed import group, launched

    environment(variables)
    assert launched()
    with pytest.raises(BackendError, match=sentence):
        group("CPU")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "RANK_TABLE_FILE names 'no_table.json', which is no file; make one with tools/make_rank_table.py, or unset it"),
        ({"RANK_TABLE_FILE": __file__, "RANK_ID": "2"}, "RANK_ID is '2'; expected a whole number from 0 to 1"),
        ({"RANK_TABLE_FILE": __file__, "RANK_ID": ""}, "RANK_TABLE_FILE is set and RANK_ID is not"),
    ],
)
def test_a_rank_table_on_an_ascend_host(variables, sentence, environment, need_mindspore):
    from backend_mindspore.distributed import group

    environment(TABLE | variables)
    with pytest.raises(BackendError, match=sentence):
        group("Ascend")


def test_a_rank_table_of_one_is_no_launcher(environment, need_mindspore):
    from backend_mindspore.distributed import launched

    environment({"RANK_TABLE_FILE": "old.json"})
    assert not launched()
    environment({"RANK_SIZE": "x"})
    with pytest.raises(BackendError, match="RANK_SIZE is 'x'"):
        launched()


def test_the_groups_that_launchers_name(environment):
    for backend, variables, arguments in (("torch", TWO, ()), ("mindspore", WORKER | {"MS_NODE_ID": "1"}, ("CPU",))):
        need(backend)
        environment(variables)
        found = __import__(f"backend_{backend}.distributed", fromlist=["group"]).group(*arguments)
        assert (found.rank, found.count) == (1, 2) and found.address in ("localhost:29500", "localhost:8118")


def test_the_line_and_the_sentence_of_a_wait(capsys):
    def run() -> None:
        with joining(Group(1, 2, "node1:8118", "MS_ROLE")):
            raise RuntimeError("Failed to initialize\n---\nC++ Call Stack")

    assert exit_code(run) == USERS_MISTAKE
    line, sentence = capsys.readouterr().err.splitlines()
    assert line[2:].startswith(":") and line.endswith(
        " process 1 waits for 2 processes at node1:8118 (MS_ROLE is set; unset it to run alone)"
    )
    assert sentence == (
        "error: process 1 waited 0 s for 2 processes at node1:8118, and they are not together (Failed to initialize); start all "
        "of them, or run alone without MS_ROLE"
    )


def test_one_process_alone_waits_for_nobody(capsys):
    with joining(Group(0, 1, "localhost:1", "RANK")):
        pass
    assert capsys.readouterr().err == ""


WAITS = """
import torch, backend_torch.distributed as d
from segformer_core.cli import exit_code
d.COLLECTIVE_TIMEOUT_SECONDS = %d
raise SystemExit(exit_code(lambda: d.join(torch.device("cpu"))))
"""


@pytest.mark.parametrize("seconds", [2, 600])
def test_nobody_comes(seconds, environment, need_torch):
    """It gives up with a sentence, and SIGTERM ends it at once although PyTorch does not look at signals meanwhile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
    process = subprocess.Popen([sys.executable, "-c", WAITS % seconds], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert f"process 0 waits for 2 processes at 127.0.0.1:{port} (RANK is set; unset it" in process.stderr.readline()
    if seconds == 600:
        time.sleep(1)
        process.terminate()
    said = process.communicate(timeout=60)[1]
    if seconds == 600:
        assert (process.returncode, said) == (-signal.SIGTERM, "")
    else:
        assert process.returncode == USERS_MISTAKE
        assert "and they are not together (Timed out after" in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("device_id", "variable", "expected"),
    [
        (-1, None, (0, "")),
        (-1, "", (0, "")),
        (-1, "3", (3, "as the environment variable DEVICE_ID says")),
        (0, "3", (0, "as device_id says")),
        (2, None, (2, "as device_id says")),
    ],
)
def test_the_device_of_a_single_process(device_id, variable, expected, environment):
    environment({} if variable is None else {"DEVICE_ID": variable})
    assert chosen_device(device_id) == expected


def test_a_device_id_that_is_no_number(environment, need_torch, need_mindspore):
    from backend_mindspore import device as mindspore
    from backend_torch import device as torch

    environment({"DEVICE_ID": "npu:3"})
    runtime = RuntimeConfig()
    for number in (lambda: torch.device_number(runtime, 4, None), lambda: mindspore.device_number(runtime, "Ascend", None)):
        with pytest.raises(BackendError, match="DEVICE_ID is 'npu:3'; expected a whole number from 0"):
            number()
    assert torch.device_number(runtime, 0, None) == mindspore.device_number(runtime, "CPU", None) == (0, ""), "a CPU has one"
    environment({"DEVICE_ID": "3"})
    assert torch.device_number(runtime, 4, None) == mindspore.device_number(runtime, "Ascend", None)
    assert torch.device_number(runtime, 4, None)[0] == 3
    assert torch.device_number(runtime, 4, 1) == (1, ""), "of several processes the launcher's place counts"


def test_the_log_says_which_device_and_why():
    backend = SimpleNamespace(
        name="mindspore", device="Ascend", precision=Precision(), device_id=3, chosen="as the environment variable DEVICE_ID says"
    )
    assert "mindspore on Ascend (device 3, as the environment variable DEVICE_ID says), " in describe(segformer("b0", 3), backend)
