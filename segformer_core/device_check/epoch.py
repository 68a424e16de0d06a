"""One epoch on the sample city, and an evaluation of the weights that it saved: seconds, memory and scores."""

import json
import re
import statistics
import sys
from typing import Any

from segformer_core.device_check.city import SMALL, common_keys, metrics
from segformer_core.device_check.outcome import expect
from segformer_core.device_check.workplace import Workplace, flags

SECONDS = 3600.0
SCORE_LIMIT = 1e-2
"""How far the mIoU that `evaluate` has of the weights may be from that which training had."""
IMAGES, PEAK = re.compile(r"(\d+) images a step"), re.compile(r"^peak memory: (\S+) GB", re.MULTILINE)


def epoch(place: Workplace) -> dict[str, Any]:
    """In a dry run of a smaller city."""
    shared = common_keys(place) | (SMALL if place.dry_run else {})
    keys = shared | {"epoch_size": 1, "eval_interval": 1, "train_log_interval": 2, "warmup_steps": 0, "checkpoint_path": "run"}
    said = place.train("epoch", keys, SECONDS)
    entries = metrics(place.folder / "epoch/run")
    steps = [entry["step_seconds"] for entry in entries if "step_seconds" in entry]
    expect(len(steps) > 1, "the run logged no step after the first ones")
    scores, losses = ([entry[name] for entry in entries if name in entry] for name in ("miou", "loss"))
    expect(len(scores) == 1 and scores[0] is not None, f"the run has the scores {scores}; expected one")
    weights = {"eval_ckpt_path": "../epoch/run/segformer_mit_b0_best.safetensors", "eval_output_path": "result"}
    words = [sys.executable, "-m", f"backend_{place.backend}.evaluate", *flags(shared | weights)]
    place.run("evaluation", words, SECONDS)
    again = json.loads((place.folder / "evaluation/result/result.json").read_text(encoding="utf-8"))["miou"]
    expect(
        abs(again - scores[0]) <= SCORE_LIMIT,
        f"evaluate has mIoU {again:.4f} of the weights that had {scores[0]:.4f} in training",
    )
    seconds, batch, peak = statistics.median(steps[1:]), IMAGES.search(said), PEAK.search(said)
    return {
        "steps": entries[-1]["step"],
        "seconds_a_step_of_the_first_two": round(steps[0], 4),
        "seconds_a_step": round(seconds, 4),
        "images_a_second": round(int(batch[1]) / seconds, 2) if batch else None,
        "peak_memory_gb": float(peak[1]) if peak else None,
        "first_and_last_loss": [losses[0], losses[-1]],
        "miou": scores[0],
        "miou_of_evaluate": again,
    }
