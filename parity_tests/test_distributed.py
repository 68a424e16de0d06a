"""Two processes are one: the same losses, weights, statistics and scores; checkpoints do not know how many there were."""

import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.ascend.test_survivors import ANNOUNCED
from parity_tests.support import CONFIG, LEARNERS, check_control, check_difference, difference
from parity_tests.training.losses import hard_pixels, ranked_probabilities, rule_of_each
from parity_tests.training.objectives import by_definition, drawn, relative
from parity_tests.training.shared_pixels import HARD
from parity_tests.training_runs import EPOCHS, FULL, SCRIPTS, SLOW_IN_MINDSPORE, STEPS, curve, finished, flags, run, saved, start
from segformer_core.commands.opening import network, opened_dataset
from segformer_core.commands.train import training_stream
from segformer_core.config.load import load_config
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.masks import draw_keep_masks
from segformer_core.spec.arrays import init_arrays
from segformer_core.training.checkpoint_file import OPTIMIZER
from segformer_core.training.schedule import group_rates, learning_rate

LAST = f"segformer_mit_b0_{EPOCHS}.safetensors"


def launcher(backend: str, tmp_path: Path, processes: int = 2) -> tuple[str, ...]:
    """torchrun and msrun, as the README has them."""
    if backend == "torch":
        return (str(SCRIPTS / "torchrun"), "--standalone", f"--nproc_per_node={processes}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = (f"--worker_num={processes}", f"--local_worker_num={processes}", f"--master_port={port}")
    return (str(SCRIPTS / "msrun"), *workers, f"--log_dir={tmp_path / 'logs'}", "--join=True", "python")


def assert_alike(got: Path, want: Path, label: int | str = EPOCHS) -> None:
    """Losses, weights, moments and running statistics differ by rounding; the scores follow from them."""
    name = f"segformer_mit_b0_{label}.safetensors"
    (arrays, about), (wanted, wanted_about) = saved(got / name), saved(want / name)
    assert about["step"] == wanted_about["step"] and arrays.keys() == wanted.keys()
    losses = [np.array(list(curve(folder, "loss").values())) for folder in (got, want)]
    check_difference("losses", difference(*losses), "losses of twenty steps")
    for key, value in wanted.items():
        if "stages.3.norm.bias" in key or "attn.kv.bias" in key or "moment2" in key:
            continue
        rung = "running mean after ten steps" if key.endswith("running_mean") else "weights after twenty steps"
        check_difference(key, difference(arrays[key], value) / max(1.0, np.abs(value).max()), rung)
    largest = np.abs(losses[0] - losses[1]).max()
    print(f"two processes against one: losses {largest:.2g} apart")


@pytest.mark.compares("{backend}, two processes", "the same in one process")
@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_two_processes_are_one(backend, run_keys, undisturbed, tmp_path):
    """Batch 2 on each with synchronised BatchNorm against batch 4 on one, ten steps, evaluation shared out."""
    want, _ = undisturbed(backend)
    said = run(f"backend_{backend}", run_keys | {"checkpoint_path": tmp_path / "run"}, launcher=launcher(backend, tmp_path))
    assert "4 images a step, 2 on each of 2 devices" in said
    assert said.count("loss_scale") in (EPOCHS, 2 * EPOCHS), "only the first process speaks (msrun also shows its log at the end)"
    logs = [path.read_text(errors="replace") for path in (tmp_path / "logs").rglob("*.log")]
    assert len(logs) == (3 if backend == "mindspore" else 0) and not any(map(ANNOUNCED.search, logs)), "a deprecated name is used"
    assert_alike(tmp_path / "run", want)
    names = [sorted(path.name for path in folder.iterdir() if path.suffix != ".jsonl") for folder in (tmp_path / "run", want)]
    assert names[0] == names[1]


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_hard_pixels_are_those_of_all_processes(backend, tmp_path, request):
    """Pixel by pixel those of one process with the whole batch. The halves are unlike, so each alone would keep others."""
    request.getfixturevalue(f"need_{backend}")
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1.0, (4, 12, 16)).astype(np.float32)
    p[2:] **= 0.2
    labels = rng.integers(0, 5, p.shape).astype(np.int32)
    labels[:, :3] = 255
    p[:, :3] = 2
    np.savez(tmp_path / "inputs.npz", p=p, labels=labels)
    words = (*launcher(backend, tmp_path), "-m", "parity_tests.training.shared_pixels", backend, str(tmp_path))
    subprocess.run(words, cwd=ROOT, env=os.environ | {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}, check=True)
    got = np.concatenate([np.load(tmp_path / f"{rank}.npy") for rank in range(2)])
    assert np.array_equal(got, hard_pixels(backend, HARD)(p, labels))
    kept = np.sort(p[labels != 255])[: 4 * HARD.ohem_min_kept]
    assert np.array_equal(got != 255, p <= kept[-1])
    assert [int((half != 255).sum()) for half in np.split(got, 2)] != [200, 200], "alone each keeps 100 of an image"


@pytest.mark.compares("{backend}, two processes", "numpy in float64")
@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_the_overlap_is_that_of_all_processes(backend, tmp_path, request):
    """The mean of the processes' gradients, which a step takes, is the whole batch's. The halves have other classes each."""
    request.getfixturevalue(f"need_{backend}")
    logits, labels = drawn("some ignored")
    labels[0][labels[0] == 3] = 2
    np.savez(tmp_path / "inputs.npz", logits=logits, labels=labels)
    loss = "ce, dice: 2"
    words = (*launcher(backend, tmp_path), "-m", "parity_tests.training.shared_objective", backend, str(tmp_path), loss)
    subprocess.run(words, cwd=ROOT, env=os.environ | {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}, check=True)
    found = [np.load(tmp_path / f"{rank}.npz") for rank in range(2)]
    (dice, by_dice), halves = by_definition(logits, labels, {"dice": 2.0}), [slice(0, 1), slice(1, 2)]
    _, by_ce = by_definition(logits, labels, {"ce": 1.0})
    for half, part in zip(halves, found, strict=True):
        shared = dice + by_definition(logits[half], labels[half], {"ce": 1.0})[0] * share(labels[half]) / share(labels)
        check_difference("loss", abs(float(part["loss"]) - shared), "loss")
        alone = by_definition(logits[half], labels[half], {"dice": 2.0})[0]
        check_control("each process its own regions", abs(alone - dice), "loss")
    gradient = np.concatenate([part["gradient"] for part in found]) / 2
    check_difference("gradient", relative(gradient, by_ce + by_dice), "gradients")
    check_control("half of the regions' gradient", relative(gradient, by_ce + by_dice / 2), "gradients")


def share(labels: np.ndarray) -> float:
    """Of the pixels that count."""
    return float((labels != 255).mean())


@pytest.mark.compares("{backend}, two processes", "the same in one process")
@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_two_processes_take_the_steps_of_one(backend, run_keys, tmp_path):
    """Two steps of cross-entropy and Dice: the losses, and the gradients as AdamW's first moments."""
    keys = run_keys | {"epoch_size": 1, "train_log_interval": 1, "run_eval": False, "loss": "ce, dice", "lr": 6e-5}
    keys |= {"warmup_steps": 0, "checkpoint_path": tmp_path / "run"}
    run(f"backend_{backend}", keys, launcher=launcher(backend, tmp_path))
    config = replace(load_config(flags(keys)), runtime=CONFIG.runtime)
    spec, groups = network(config), parameter_groups(network(config), config.optimizer)
    stream = training_stream(opened_dataset(config, "train", ""), config)
    learner, want = LEARNERS[backend](spec, init_arrays(spec, config.training.seed), config), []
    for step in range(2):
        batch = tuple(np.stack(arrays) for arrays in zip(*(stream[4 * step + place] for place in range(4)), strict=True))
        masks = draw_keep_masks(spec, config.training.seed, step, range(4))
        rates = group_rates(groups, learning_rate(step, stream.steps, config.optimizer), False)
        want.append(float(learner.step(batch, masks, rates).loss))
    got = np.array(list(curve(tmp_path / "run", "loss").values()))
    check_difference("losses", difference(got, np.array(want)), "losses of twenty steps")
    arrays, moments = saved(tmp_path / "run/segformer_mit_b0_1.safetensors")[0], learner.optimizer_arrays()
    names = [name for name in moments if name.startswith("moment1.")]
    largest = max(float(np.abs(moments[name]).max()) for name in names)
    for name in names:
        check_difference(name, difference(arrays[OPTIMIZER + name], moments[name]) / largest, "gradients")


@pytest.mark.compares("{backend}, two processes", "the same in one process")
@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_two_processes_have_the_loss_of_one(backend, run_keys, tmp_path):
    """Hard pixels and the average over all, in two accumulated batches: the losses of two steps.

    The one process gets the images in the order in which its parts are those that the processes take together.
    """
    keys = run_keys | {"epoch_size": 1, "train_log_interval": 1, "run_eval": False, "ohem_threshold": 0.1, "ohem_min_kept": 2000}
    keys |= {"loss_average": "all", "lr": 6e-5, "warmup_steps": 0, "accumulation_steps": 2, "checkpoint_path": tmp_path / "run"}
    run(f"backend_{backend}", keys, launcher=launcher(backend, tmp_path))
    got = np.array(list(curve(tmp_path / "run", "loss").values()))

    config, order = replace(load_config(flags(keys)), runtime=CONFIG.runtime), [0, 2, 1, 3]
    spec, groups = network(config), parameter_groups(network(config), config.optimizer)
    stream = training_stream(opened_dataset(config, "train", ""), config)
    learner = LEARNERS[backend](spec, init_arrays(spec, config.training.seed), config)
    want = []
    for step in range(2):
        images, labels = (np.stack(arrays) for arrays in zip(*(stream[4 * step + place] for place in order), strict=True))
        masks = draw_keep_masks(spec, config.training.seed, step, order)
        if step == 0:
            p, counted = ranked_probabilities(learner, (images, labels), masks), labels != 255
            p, counted = p[order], counted[order]  # this order undoes itself
            together, apart = (-np.log(p[rule_of_each(p, counted, config.loss, shares)]).sum() / p.size for shares in (1, 2))
            check_difference("first loss", abs(got[0] - together), "losses of twenty steps")
            check_control("each process ranks its own", abs(got[0] - apart), "losses of twenty steps")
        rates = group_rates(groups, learning_rate(step, stream.steps, config.optimizer), False)
        want.append(float(learner.step((images, labels), masks, rates).loss))
    check_difference("losses", difference(got, np.array(want)), "losses of twenty steps")


@pytest.mark.compares("{backend}, two processes and one", "the same in one process")
@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
@pytest.mark.parametrize(
    "processes", [(2, 1), (1, 2)] if FULL else [(2, 1)], ids=lambda processes: "then".join(map(str, processes))
)
def test_a_run_continues_on_another_number_of_devices(backend, processes, run_keys, undisturbed, tmp_path):
    want, _ = undisturbed(backend)
    keys = run_keys | {"checkpoint_path": tmp_path / "run", "keep_checkpoints": 0}
    for count in processes:
        said = run(f"backend_{backend}", keys, launcher=launcher(backend, tmp_path) if count == 2 else ())
        if count == processes[0]:
            for label in (3, 4, 5, "best"):
                (tmp_path / f"run/segformer_mit_b0_{label}.safetensors").unlink()
    assert f"after step 4 of {STEPS}" in said
    assert_alike(tmp_path / "run", want)


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_scores_of_two_processes_are_those_of_one(backend, run_keys, undisturbed, tmp_path, capsys):
    """The same weights, three images: the confusion matrix is a sum of whole numbers, so every digit is the same."""
    folder, _ = undisturbed(backend)
    keys = {key: run_keys[key] for key in ("backbone", "class_num", "base_size", "device_target", "data_path")}
    keys |= {"eval_ckpt_path": folder / LAST}
    tables = []
    for how in ((), launcher(backend, tmp_path)):
        code, said = finished(start(f"backend_{backend}", keys, launcher=how, command="evaluate"))
        assert code == 0, said
        tables.append(re.findall(r"===> .*", said)[:6])
    assert tables[0] == tables[1] and len(tables[0]) == 6


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
def test_one_that_dies_ends_all(backend, run_keys, undisturbed, tmp_path):
    undisturbed(backend)
    keys = run_keys | {"checkpoint_path": tmp_path / "run", "epoch_size": 500, "run_eval": False}
    process = start(f"backend_{backend}", keys, launcher=launcher(backend, tmp_path))
    deadline = time.monotonic() + 300
    while not list((tmp_path / "run").glob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.5)
    workers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and worker(path, process.pid, backend)]
    assert len(workers) == 2, workers
    os.kill(workers[-1], signal.SIGKILL)
    code, said = finished(process)
    assert code != 0 and re.search("SIGKILL|Signal 9|exitcode: -9|exited with exception|exit code", said), said
    for pid in workers:
        assert not Path(f"/proc/{pid}").exists(), "nothing is left running"


def worker(path: Path, launcher: int, backend: str) -> bool:
    """Whether a process, by its folder in /proc, is one that the launcher started to train."""
    try:
        parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        trains = f"backend_{backend}.train" in (path / "cmdline").read_text().split("\0")
        schedules = "MS_ROLE=MS_SCHED" in (path / "environ").read_text().split("\0")  # msrun's third process
        return parent == launcher and trains and not schedules
    except OSError:  # it has ended
        return False


MISTAKES = {
    "lovasz on two devices": (
        {"loss": "ce, lovasz"},
        "loss is ce, lovasz on 2 devices; lovasz sorts the pixels of the whole batch",
    ),
    "a batch that cannot be shared": (
        {"batch_size": 3},
        "batch_size is 3, to be shared by 2 devices in 1 accumulated batches; expected a multiple of 2",
    ),
    "no launcher": ({"run_distribute": True}, "run_distribute is True but this process is alone; start it with "),
}


@pytest.mark.parametrize("backend", SLOW_IN_MINDSPORE)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(backend, mistake, run_keys, tmp_path, request):
    request.getfixturevalue(f"need_{backend}")
    keys, sentence = MISTAKES[mistake]
    how = () if mistake == "no launcher" else launcher(backend, tmp_path)
    code, said = finished(start(f"backend_{backend}", run_keys | {"checkpoint_path": tmp_path / "run"} | keys, launcher=how))
    assert code == (2 if not how else code) and code != 0
    assert f"error: {sentence}" in said + "".join(path.read_text() for path in (tmp_path / "logs").glob("worker_*.log")), said
    assert not list((tmp_path / "run").glob("*"))
