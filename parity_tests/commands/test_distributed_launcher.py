"""The launch script for several devices: with a rank table, with msrun and with torchrun."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from parity_tests.commands.launcher_bench import MINE, NOTED, ended, wait_for

SHARED = ["-m", "backend_mindspore.train", "--run_distribute", "True", "--config_path", MINE]


def test_a_process_for_every_rank_of_the_table(bench, two):
    result = bench.run("run_distribute_train.sh", 2, "../two.json", MINE, "city", "a.ckpt", "True", "--", "--seed", "1")
    assert result.returncode == 0, result.stderr
    for rank, device in enumerate("46"):
        noted = bench.noted(rank)
        options = ["--data_path", "city", "--pretrained_ckpt_path", "a.ckpt", "--run_eval", "True", "--seed", "1"]
        assert noted["argv"] == SHARED + options
        variables = {key: noted[key] for key in NOTED[:4]}
        assert variables == {"RANK_TABLE_FILE": str(two), "RANK_SIZE": "2", "RANK_ID": str(rank), "DEVICE_ID": device}
    assert bench.files() == {"train.log", "train_rank_1.log"}
    assert result.stdout == bench.logged("train.log") == "rank 0 runs\n"
    assert bench.logged("train_rank_1.log") == "rank 1 runs\n"


@pytest.mark.parametrize(("does", "code"), [("wait", 3), ("stubborn", 3), ("wait", 2)])
@pytest.mark.parametrize("fails", [0, 1])
def test_a_rank_that_fails_ends_the_others(bench, two, does, code, fails):
    start = time.monotonic()
    doing = {str(fails): code, str(1 - fails): does}
    result = bench.run("run_distribute_train.sh", 2, two, MINE, does=doing, STOP_SECONDS=1 if does == "stubborn" else 60)
    assert result.returncode == code and time.monotonic() - start < 20
    wait_for(lambda: ended(bench.noted(1 - fails)["pid"]))  # a killed process may take a moment to end
    assert f"rank {fails} ended with exit code {code}; the others are stopped\n" in result.stdout
    assert result.stdout.endswith(f"exit code {code}\n") and result.stdout == bench.logged("train.log")


def test_a_rank_that_is_done_does_not_end_the_others(bench, two):
    result = bench.run("run_distribute_train.sh", 2, two, MINE, does={"1": "wait"}, FOREGROUND=None)
    supervisor = int(result.stdout.split("process id ")[1].split()[0])
    first, second = bench.noted(0)["pid"], bench.noted(1)["pid"]
    wait_for(lambda: ended(first))
    time.sleep(1.5)  # longer than the launcher's poll interval, a second
    assert not ended(second) and not ended(supervisor)
    os.kill(supervisor, signal.SIGTERM)
    wait_for(lambda: ended(supervisor))
    assert ended(second) and bench.logged("train_rank_1.log") == "rank 1 runs\ninterrupted\n"


def test_msrun_starts_the_ranks_without_a_table(bench, need_mindspore, monkeypatch):
    from mindspore.parallel.cluster.run import get_args

    arguments = ("run_distribute_train.sh", 3, "-", MINE, "a city")
    result = bench.run(*arguments, RANK_TABLE_FILE="/old/table.json")
    assert result.returncode == 0, result.stderr
    noted = bench.noted()
    assert noted["argv"][:2] == ["-m", "mindspore.parallel.cluster.run"] and noted["RANK_TABLE_FILE"] is None
    monkeypatch.setattr(sys, "argv", noted["argv"][1:])
    options = get_args()
    assert (options.worker_num, options.local_worker_num, options.join, options.log_dir) == (3, 3, True, "msrun_log")
    assert options.task_script == "python" and options.task_script_args == [*SHARED, "--data_path", "a city"]
    with socket.create_server(("127.0.0.1", options.master_port)):
        pass  # the port was free
    assert bench.run(*arguments).returncode == 0
    assert bench.noted()["argv"] != noted["argv"], "the second run has another port"

    workers = {"PATH": noted["PATH"], "NOTES": str(bench.notes)}
    subprocess.run(["python", *SHARED], env=workers, cwd=bench.folder, check=True, capture_output=True)
    assert bench.noted()["argv"] == SHARED, "msrun's `python` is the launcher's PYTHON"


def test_torchrun_starts_the_ranks_of_backend_torch(bench, need_torch):
    from torch.distributed.run import get_args_parser

    result = bench.run("run_distribute_train.sh", 3, "-", MINE, "a city", "--", "--seed", "1", BACKEND="backend_torch")
    assert result.returncode == 0, result.stderr
    argv = bench.noted()["argv"]
    assert argv[:2] == ["-m", "torch.distributed.run"]
    options = get_args_parser().parse_args(argv[2:])
    assert options.standalone and options.nproc_per_node == "3"
    assert options.module and options.training_script == "backend_torch.train"
    assert options.training_script_args == [*SHARED[2:], "--data_path", "a city", "--seed", "1"]
    assert bench.files() == {"train.log"}
