"""Runs that are killed, stopped, damaged and continued, also in the other framework, end like a run without interruption."""

import os
import random
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from parity_tests.training_runs import EPOCHS, FULL, STEPS, assert_same_run, curve, finished, run, saved, start

KILLS = {"torch": 20, "mindspore": 20} if FULL else {"torch": 3, "mindspore": 1}


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
@pytest.mark.timeout(3000)
def test_killed_at_random_moments(backend, run_keys, undisturbed, tmp_path):
    """A run is killed at any moment of its remaining time; the next one goes on from the newest checkpoint."""
    want, seconds = undisturbed(backend)
    rng, killed, ended = random.Random(0), 0, 0
    configured = run_keys | {"checkpoint_path": tmp_path / "run"}
    while killed < KILLS[backend]:
        process, began = start(f"backend_{backend}", configured), time.monotonic()
        try:
            output, _ = process.communicate(timeout=rng.uniform(0.2, 0.9) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            killed += 1
            continue
        assert process.returncode == 0, output
        assert_same_run(configured["checkpoint_path"], want, EPOCHS)
        seconds = min(seconds, time.monotonic() - began)  # the machine was busier before: else no run would be killed
        ended += 1
        configured["checkpoint_path"] = tmp_path / f"run{ended}"
    output = run(f"backend_{backend}", configured)
    assert_same_run(configured["checkpoint_path"], want, EPOCHS)
    print(f"{backend}: {killed} kills; the last run said: {re.findall('going on.*', output)}")


KILLED_IN = {
    "half of a checkpoint": "import segformer_core.weights.containers.safetensors_file as target; name = 'raw_bytes'; at = 900",
    "the moment before it has its name": "import os as target; name = 'replace'; at = 4",
    "the moment after": "import segformer_core.training.loop as target; name = 'evaluate_now'; at = 1",
}


@pytest.mark.parametrize("moment", list(KILLED_IN)[: None if FULL else 1])
def test_killed_while_saving(moment, run_keys, undisturbed, tmp_path):
    want, _ = undisturbed("torch")
    prelude = (
        f"import os, signal; {KILLED_IN[moment]}; calls = []; real = getattr(target, name)\n"
        "def killer(*arguments, **options):\n"
        "    calls.append(1)\n"
        "    if len(calls) == at: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(*arguments, **options)\n"
        "setattr(target, name, killer)"
    )
    configured = run_keys | {"checkpoint_path": tmp_path}
    process = start("backend_torch", configured, prelude)
    code, output = finished(process)
    assert code == -signal.SIGKILL, output
    assert "going on from" in run("backend_torch", configured)
    assert_same_run(tmp_path, want, EPOCHS)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "half-written files are cleared away"


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_killed_before_the_last_evaluation(backend, run_keys, undisturbed, tmp_path):
    """Nothing is left to train, but the last evaluation is missing; after it, nothing is left to do."""
    want, _ = undisturbed(backend)
    shutil.copytree(want, tmp_path / "run")
    (tmp_path / "run/segformer_mit_b0_best.safetensors").unlink()
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines(keepends=True)
    assert "miou" in lines[-1]
    (tmp_path / "run/metrics.jsonl").write_text("".join(lines[:-1]))
    output = run(f"backend_{backend}", run_keys | {"checkpoint_path": tmp_path / "run"})
    assert "nothing is left to train" in output and "Evaluation Result" in output
    assert curve(tmp_path / "run", "miou") == curve(want, "miou")
    assert "Evaluation Result" not in run(f"backend_{backend}", run_keys | {"checkpoint_path": tmp_path / "run"})


STOPS = [("torch", signal.SIGTERM), ("mindspore", signal.SIGTERM), ("torch", signal.SIGINT), ("mindspore", signal.SIGINT)]


@pytest.mark.parametrize(("backend", "number"), STOPS if FULL else STOPS[:2])
def test_asked_to_stop(backend, number, run_keys, undisturbed, tmp_path):
    want, _ = undisturbed(backend)
    configured = run_keys | {"checkpoint_path": tmp_path}
    process = start(f"backend_{backend}", configured)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Epoch 2/"):
            os.killpg(process.pid, number)  # as a scheduler does: the workers that read images get it, too
            break
    rest, _ = process.communicate()
    output = "".join(lines) + rest
    assert process.returncode == 128 + number, output
    assert re.search(rf"{number.name}: stopped after step \d+ of {STEPS}; the same command goes on from there", output), output
    assert "Traceback" not in output
    assert "going on from" in run(f"backend_{backend}", configured)
    assert_same_run(tmp_path, want, EPOCHS)


@pytest.mark.parametrize(("first", "second"), [("torch", "mindspore"), *([("mindspore", "torch")] if FULL else [])])
def test_a_run_continues_in_the_other_framework(first, second, run_keys, undisturbed, tmp_path):
    """The difference stays within that of the two frameworks' undisturbed runs: rounding, which training amplifies."""
    epochs = 2 * EPOCHS if FULL else EPOCHS
    half = 2 * (epochs // 2)  # steps: two an epoch
    configured = run_keys | {"epoch_size": epochs, "checkpoint_path": tmp_path / "mixed", "keep_checkpoints": 0}
    folders = {backend: undisturbed(backend)[0] for backend in ("torch", "mindspore")}
    if FULL:
        folders = {backend: tmp_path / backend for backend in folders}
        for backend, folder in folders.items():
            run(f"backend_{backend}", configured | {"checkpoint_path": folder})
    run(f"backend_{first}", configured)
    for path in (tmp_path / "mixed").glob("*.safetensors"):
        label = path.stem.rpartition("_")[2]
        if label == "best" or 2 * int(label) > half:
            path.unlink()
    output = run(f"backend_{second}", configured)
    assert f"after step {half} of {2 * epochs}" in output
    losses = {backend: curve(folder, "loss") for backend, folder in folders.items()}
    mixed_losses = curve(tmp_path / "mixed", "loss")
    assert mixed_losses.keys() == losses[first].keys()
    apart = max(abs(losses["torch"][step] - losses["mindspore"][step]) for step in mixed_losses)
    mixed = max(abs(mixed_losses[step] - losses[first][step]) for step in mixed_losses)
    rest = 2 * epochs - half
    print(f"{half} steps {first}, {rest} {second}: {mixed:.2g} from {first} alone; the two alone are {apart:.2g} apart")
    assert mixed <= max(3 * apart, 1e-5)
    before = [step for step in mixed_losses if step <= half]
    assert {step: mixed_losses[step] for step in before} == {step: losses[first][step] for step in before}
    last = f"segformer_mit_b0_{epochs}.safetensors"
    arrays, expected = saved(tmp_path / "mixed" / last)[0], saved(folders[first] / last)[0]
    assert arrays["optimizer.steps"] == expected["optimizer.steps"] == 2 * epochs
    assert np.abs(arrays["decode_head.linear_pred.weight"] - expected["decode_head.linear_pred.weight"]).max() < 1e-3


def test_a_run_that_comes_to_nothing_says_where_and_keeps_its_checkpoint(run_keys, tmp_path):
    """At a learning rate of 1e30 the first step is the last that is finite."""
    good = run_keys | {"checkpoint_path": tmp_path, "epoch_size": 40, "run_eval": False, "warmup_steps": 0}
    spoil = "import segformer_core.training.schedule as s; import segformer_core.training.loop as l; real = s.learning_rate\n"
    spoil += "l.learning_rate = lambda step, *rest: 1e30 if step == 6 else real(step, *rest)"
    code, output = finished(start("backend_torch", good, spoil))
    assert code == 2, output
    sentence = (
        r"error: the loss or its gradient has not been finite for \d+ steps, since step 8 \(epoch 4, images (train\d, ){3}train"
    )
    assert re.search(sentence, output), output
    assert "Traceback" not in output and "epoch 5 is not saved: the last 3 steps were not finite" in output
    names = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert names == ["segformer_mit_b0_3.safetensors", "segformer_mit_b0_4.safetensors"]
    assert all(np.isfinite(array).all() for array in saved(tmp_path / names[1])[0].values())
