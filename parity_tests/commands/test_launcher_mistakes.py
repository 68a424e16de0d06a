"""Wrong arguments to a launch script: one sentence or the usage, and nothing is started."""

import pytest

from parity_tests.commands.launcher_bench import MINE

WRONG = {
    "too few": (["run_eval.sh", 0, MINE, "a"], {}, "usage: bash tools/run_eval.sh DEVICE_ID CONFIG_FILE CKPT_PATH DATASET_PATH"),
    "too many": (["run_eval.sh", 0, MINE, "a", "b", "c"], {}, "usage: bash tools/run_eval.sh DEVICE_ID CONFIG_FILE"),
    "none": (["run_infer.sh"], {}, "usage: bash tools/run_infer.sh DEVICE_ID CONFIG_FILE CKPT_PATH DATASET_PATH [OUTPUT_PATH]"),
    "none to train": (
        ["run_standalone_train.sh", 0],
        {},
        "usage: bash tools/run_standalone_train.sh DEVICE_ID CONFIG_FILE [DATA",
    ),
    "none to share": (
        ["run_distribute_train.sh", 2, "-"],
        {},
        "usage: bash tools/run_distribute_train.sh DEVICE_NUM RANK_TABLE_",
    ),
    "device": (["run_infer.sh", "one", MINE, "a", "b"], {}, "error: DEVICE_ID is 'one'; expected a whole number from 0"),
    "device to eval": (["run_eval.sh", "", MINE, "a", "b"], {}, "error: DEVICE_ID is ''; expected a whole number from 0"),
    "negative": (["run_standalone_train.sh", -1, MINE], {}, "error: DEVICE_ID is '-1'; expected a whole number from 0"),
    "octal": (["run_standalone_train.sh", "010", MINE], {}, "error: DEVICE_ID is '010'; expected a whole number from 0"),
    "no devices": (["run_distribute_train.sh", 0, "-", MINE], {}, "error: DEVICE_NUM is '0'; expected a whole number from 1"),
    "config": (
        ["run_standalone_train.sh", 0, "a.yaml"],
        {},
        "error: no such configuration file: a.yaml, neither in {here} nor in",
    ),
    "the original's folder": (
        ["run_eval.sh", 0, "config/segformer.b0.512x1024.city.yaml", "b", "c"],
        {},
        "error: no such configuration file: config/segformer.b0.512x1024.city.yaml; the recipe of this name is configs",
    ),
    "config to eval": (["run_eval.sh", 0, "a.yaml", "b", "c"], {}, "error: no such configuration file: a.yaml"),
    "config to infer": (["run_infer.sh", 0, "a.yaml", "b", "c"], {}, "error: no such configuration file: a.yaml"),
    "config to share": (["run_distribute_train.sh", 2, "-", "a.yaml"], {}, "error: no such configuration file: a.yaml"),
    "option": (
        ["run_standalone_train.sh", 0, MINE, "--lr", "1"],
        {},
        "error: unexpected option --lr; options of the command go behind --",
    ),
    "backend": (
        ["run_standalone_train.sh", 0, MINE],
        {"BACKEND": "torch"},
        "error: BACKEND is torch; expected backend_mindspore or backend_torch",
    ),
    "patience": (
        ["run_standalone_train.sh", 0, MINE],
        {"STOP_SECONDS": "long"},
        "error: STOP_SECONDS is 'long'; expected a whole number from 0",
    ),
    "python": (
        ["run_standalone_train.sh", 0, MINE],
        {"PYTHON": "/no/python"},
        "error: no such Python: /no/python; name one in the environment variable PYTHON",
    ),
    "no table": (
        ["run_distribute_train.sh", 2, "no.json", MINE],
        {},
        "error: no such rank table: no.json; make it with tools/make_rank_table.py, or give - to start with msrun",
    ),
    "table for torch": (
        ["run_distribute_train.sh", 2, "../two.json", MINE],
        {"BACKEND": "backend_torch"},
        "error: a rank table is for backend_mindspore; give - to start backend_torch with torchrun",
    ),
    "another count": (
        ["run_distribute_train.sh", 8, "../two.json", MINE],
        {},
        "error: rank table ../two.json lists 2 devices; expected 8, the number of devices asked for; make another",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_start_nothing(what, bench, two):
    arguments, variables, sentence = WRONG[what]
    for foreground in (1, None):
        result = bench.run(*arguments, FOREGROUND=foreground, **variables)
        assert result.returncode == 2 and result.stdout == ""
        assert result.stderr.startswith(sentence.format(here=bench.folder)), result.stderr
        assert sentence.startswith("usage") or result.stderr.count("\n") == 1
    assert not list(bench.notes.iterdir()) and not bench.files()


def test_a_log_that_cannot_be_written(bench):
    (bench.folder / "train.log").mkdir()
    for foreground in (1, None):
        result = bench.run("run_standalone_train.sh", 0, MINE, FOREGROUND=foreground)
        assert result.returncode == 2
        assert result.stderr == f"error: cannot write train.log in {bench.folder}; go to another folder\n"
    assert not list(bench.notes.iterdir())


@pytest.mark.parametrize("script", ["run_standalone_train.sh", "run_distribute_train.sh", "run_eval.sh", "run_infer.sh"])
def test_help(script, bench):
    result = bench.run(script, "--help")
    assert result.returncode == 0 and result.stdout.startswith(f"usage: bash tools/{script} DEVICE_")
    for word in ("[-- OPTION…]", "BACKEND=", "PYTHON", "FOREGROUND=1", "STOP_SECONDS"):
        assert word in result.stdout
