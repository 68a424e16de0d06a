"""A few steps in two processes, started as a user would start them, against the same in one."""

import sys
from glob import glob
from pathlib import Path
from typing import Any

from segformer_core.device_check.city import SMALL, common_keys, metrics
from segformer_core.device_check.outcome import NotRun, Wrong, expect
from segformer_core.device_check.workplace import ROOT, Workplace, flags, need_checkout

STEPS, SECONDS = 3, 1800.0
LOSS_LIMIT = 1e-2
"""How far the losses of two processes may be from those of one."""
LONGEST_LOG = 1000
"""Characters of the end of each further process's log."""
VISIBLE = "ASCEND_RT_VISIBLE_DEVICES"
ASCEND, CUDA = ("/dev/davinci[0-9]*", VISIBLE), ("/dev/nvidia[0-9]*", "CUDA_VISIBLE_DEVICES")
CARDS = {"Ascend": ASCEND, "npu": ASCEND, "cuda": CUDA}
"""Device -> the files of its cards, and the variable that says which of them are seen."""
SCRIPT, TABLE_MAKER = "tools/run_distribute_train.sh", "tools/make_rank_table.py"


def two_cards(place: Workplace) -> dict[str, Any]:
    """A few steps in two processes, started by msrun (PyTorch: torchrun), against the same in one."""
    need_checkout(SCRIPT)
    need_two(place)
    return compared(place, "two_cards", "-")


def rank_table(place: Workplace) -> dict[str, Any]:
    """The same, started by a rank table."""
    need_checkout(SCRIPT, TABLE_MAKER)
    if place.backend != "mindspore" or place.device != "Ascend":
        raise NotRun("a rank table is for MindSpore on an Ascend")
    need_two(place)
    if place.variables.get(VISIBLE):
        raise NotRun(f"{VISIBLE} is set; unset it to try a rank table")
    table = place.folder / "table.json"
    try:
        words = [sys.executable, ROOT / TABLE_MAKER, "--device_num", "[0,2)", "--output", table]
        place.run("table", words, SECONDS)
    except Wrong as error:
        raise NotRun(str(error)) from error
    return compared(place, "rank_table", table)


def compared(place: Workplace, name: str, table: object) -> dict[str, Any]:
    keys = few_steps(place)
    config, data = keys.pop("config_path"), keys.pop("data_path")
    words = ["bash", ROOT / SCRIPT, 2, table, config, data, "--", *flags(keys)]
    settings = {"FOREGROUND": "1", "BACKEND": f"backend_{place.backend}", "PYTHON": sys.executable}
    try:
        said = place.run(name, words, SECONDS, **settings)
    except Wrong as error:
        raise Wrong(str(error), f"{other_logs(place.folder / name)}\n{error.output}") from error
    if "on each of 2 devices" not in said:
        raise Wrong("the processes did not train together", said)
    if not (place.folder / "alone/run").is_dir():
        place.train("alone", few_steps(place), SECONDS)
    runs = [metrics(place.folder / folder / "run") for folder in (name, "alone")]
    losses, alone = ([entry["loss"] for entry in run if "loss" in entry] for run in runs)
    expect(len(losses) == len(alone) == STEPS, f"the runs have {len(losses)} and {len(alone)} losses; expected {STEPS}")
    difference = max(abs(loss - one) for loss, one in zip(losses, alone, strict=True))
    expect(difference <= LOSS_LIMIT, f"losses {losses} on two, {alone} on one; expected at most {LOSS_LIMIT:g} between them")
    last = {"step_seconds": runs[0][-1]["step_seconds"], "step_seconds_of_one": runs[1][-1]["step_seconds"]}
    return {"losses": losses, "losses_of_one": alone, "largest_difference": difference, "limit": LOSS_LIMIT} | last


def other_logs(folder: Path) -> str:
    """The ends of the logs that the processes have beside the first one's."""
    logs = sorted(path for path in folder.rglob("*.log") if path.name not in ("output.log", "train.log"))
    ends = (path.read_text(encoding="utf-8", errors="replace").strip()[-LONGEST_LOG:] for path in logs)
    return "\n".join(f"--- {path.name}\n{text}" for path, text in zip(logs, ends, strict=True))


def few_steps(place: Workplace) -> dict[str, object]:
    keys = common_keys(place) | SMALL | {"max_steps": STEPS, "batch_size": 4, "train_log_interval": 1}
    return keys | {"precision": "fp32", "run_eval": False, "warmup_steps": 0, "lr": 1e-4, "checkpoint_path": "run"}


def need_two(place: Workplace) -> None:
    if place.on_cpu:  # two processes share it
        return
    files, variable = CARDS[place.device.partition(":")[0]]
    visible = place.variables.get(variable)
    cards = len(visible.split(",")) if visible else len(glob(files))
    if cards < 2:
        raise NotRun(f"{cards} card was found; two are needed")
