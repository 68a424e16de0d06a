"""The launch scripts for one device: what becomes of their arguments, where the output goes, how a run is stopped."""

import os
import signal
import subprocess

import pytest

from parity_tests import ROOT
from parity_tests.commands.launcher_bench import MINE, ended, wait_for

MAPPED = {
    "train": (
        ["run_standalone_train.sh", 3, MINE],
        ["-m", "backend_mindspore.train", "--device_id", "3", "--config_path", MINE],
        "train.log",
    ),
    "train, everything": (
        ["run_standalone_train.sh", 0, MINE, "a city", "b.ckpt", "False", "--", "--lr", "1e-4", "--", "*"],
        ["-m", "backend_mindspore.train", "--device_id", "0", "--config_path", MINE, "--data_path", "a city"]
        + ["--pretrained_ckpt_path", "b.ckpt", "--run_eval", "False", "--lr", "1e-4", "--", "*"],
        "train.log",
    ),
    "train, a gap": (
        ["run_standalone_train.sh", 0, MINE, "", "b.ckpt"],
        ["-m", "backend_mindspore.train", "--device_id", "0", "--config_path", MINE, "--pretrained_ckpt_path", "b.ckpt"],
        "train.log",
    ),
    "eval": (
        ["run_eval.sh", 1, "configs/segformer.b0.camvid.yaml", "best.ckpt", "city", "--"],
        ["-m", "backend_mindspore.evaluate", "--device_id", "1", "--config_path", "configs/segformer.b0.camvid.yaml"]
        + ["--eval_ckpt_path", "best.ckpt", "--data_path", "city"],
        "eval.log",
    ),
    "infer": (
        ["run_infer.sh", 1, MINE, "best.ckpt", "city"],
        ["-m", "backend_mindspore.infer", "--device_id", "1", "--config_path", MINE]
        + ["--infer_ckpt_path", "best.ckpt", "--data_path", "city"],
        "infer.log",
    ),
    "infer, output": (
        ["run_infer.sh", 1, MINE, "best.ckpt", "city", "masks", "--", "--infer_copy_original_img=False"],
        ["-m", "backend_mindspore.infer", "--device_id", "1", "--config_path", MINE]
        + ["--infer_ckpt_path", "best.ckpt", "--data_path", "city", "--infer_output_path", "masks"]
        + ["--infer_copy_original_img=False"],
        "infer.log",
    ),
}


@pytest.mark.parametrize("case", MAPPED)
def test_arguments_become_options(case, bench):
    arguments, argv, log = MAPPED[case]
    result = bench.run(*arguments, PYTHONPATH="/users")
    assert result.returncode == 0 and result.stdout == "rank 0 runs\n" == bench.logged(log), result.stderr
    noted = bench.noted()
    assert noted["argv"] == argv
    assert noted["cwd"] == str(bench.folder) and noted["PYTHONPATH"] == f"{ROOT}:/users"
    assert bench.files() == {log}
    assert bench.run(*arguments, BACKEND="backend_torch").returncode == 0
    assert bench.noted()["argv"] == ["-m", argv[1].replace("mindspore", "torch"), *argv[2:]]


def test_the_exit_code_in_the_foreground(bench):
    result = bench.run("run_eval.sh", 0, MINE, "a", "b", does={"0": 3})
    assert (result.returncode, result.stdout, result.stderr) == (3, "rank 0 runs\nexit code 3\n", "")
    assert bench.logged("eval.log") == result.stdout


@pytest.mark.parametrize("code", [0, 3])
def test_in_the_background(bench, code):
    result = bench.run("run_infer.sh", 0, MINE, "a", "b", does={"0": code}, FOREGROUND=None)
    assert result.returncode == 0 and result.stderr == ""
    pid = int(result.stdout.split("process id ")[1].split()[0])
    assert result.stdout == f"started in the background: log infer.log, process id {pid} (kill {pid} stops it)\n"
    wait_for(lambda: ended(pid))
    assert bench.logged("infer.log") == "rank 0 runs\n" + ("exit code 3\n" if code else "")


def test_stopping_what_runs_in_the_background(bench):
    result = bench.run("run_standalone_train.sh", 0, MINE, does={"0": "wait"}, FOREGROUND=None)
    supervisor, child = int(result.stdout.split("process id ")[1].split()[0]), bench.noted()["pid"]
    wait_for(lambda: "runs" in bench.logged("train.log"))
    assert not ended(supervisor) and not ended(child)
    os.kill(supervisor, signal.SIGHUP)  # the terminal closes
    os.kill(supervisor, signal.SIGTERM)
    wait_for(lambda: ended(supervisor))
    assert ended(child) and bench.logged("train.log") == "rank 0 runs\ninterrupted\nexit code 143\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_stopping_what_runs_in_the_foreground(bench, number, code):
    command = bench.command("run_standalone_train.sh", 0, MINE, does={"0": "wait"})
    with subprocess.Popen(**command, start_new_session=True) as process:
        child = bench.noted()["pid"]
        wait_for(lambda: "runs" in bench.logged("train.log"))
        os.killpg(process.pid, number)  # a terminal and `timeout` also send it to the group
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == code and ended(child)
    assert printed == bench.logged("train.log") == f"rank 0 runs\ninterrupted\nexit code {code}\n"


def test_what_a_failing_rank_leaves_behind_is_ended(bench):
    result = bench.run("run_eval.sh", 0, MINE, "a", "b", does={"0": "leave"})
    assert result.returncode == 3 and ended(int((bench.notes / "child").read_text()))
