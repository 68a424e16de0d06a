"""A process that has left the others has no thread of theirs: at Python's exit one of gloo's aborts the process now and then."""

import os
import subprocess

from parity_tests import ROOT
from parity_tests.training_runs import SCRIPTS, SMALL, flags

PROGRAM = """
import sys
from pathlib import Path
from backend_torch.device import connect
from segformer_core import cli
def threads():
    return sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm") if path.is_file())
def tell(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")  # at once: two processes write
    sys.stdout.flush()
def watched(runtime):
    backend = connect(runtime)
    tell("joined", *threads())
    return backend
code = cli.main("train", watched, sys.argv[1:])
tell("left", code, *threads())
"""


def test_gloo_is_gone_after_a_run(run_keys, tmp_path, need_torch):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    keys = SMALL | {"data_path": run_keys["data_path"], "max_steps": 1, "run_eval": False, "checkpoint_path": tmp_path / "run"}
    words = [SCRIPTS / "torchrun", "--standalone", "--nproc_per_node=2", program, *flags(keys)]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run(words, env=variables, capture_output=True, text=True, check=True).stdout.splitlines()
    joined, left = ([line for line in said if line.startswith(word)] for word in ("joined", "left"))
    assert len(joined) == 2 and all("gloo" in line for line in joined), said
    assert len(left) == 2 and all(line.startswith("left 0 ") and "gloo" not in line for line in left), left
