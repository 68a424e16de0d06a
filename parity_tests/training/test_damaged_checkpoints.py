"""A checkpoint of which any bit has changed: the run goes on from the exact same state, or from the checkpoint before it."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity_tests.support import CONFIG
from parity_tests.training_runs import FULL, saved
from segformer_core.config.keys import TrainingConfig
from segformer_core.errors import UserError
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import Variant, segformer
from segformer_core.training.checkpoint import Checkpoints
from segformer_core.weights.containers import safetensors_file
from segformer_core.weights.reading import read
from segformer_core.weights.store import METADATA_HASH

SPEC = segformer(Variant((2, 4, 10, 16), (1, 1, 1, 1), 4), class_count=3)
"""A network of few numbers, so that hundreds of damaged files are quick to read."""

HEADER_FLIPS, DATA_FLIPS = (20_000, 2_000) if FULL else (400, 40)


class Weights:
    """Stands in for a learner."""

    def __init__(self, seed: int):
        self.seed = seed

    def arrays(self):
        return init_arrays(SPEC, self.seed)

    def optimizer_arrays(self):
        return {f"moment1.{name}": array for name, array in init_arrays(SPEC, self.seed + 1).items()} | {"steps": np.float32(1)}


def opened(folder: Path) -> Checkpoints:
    return Checkpoints(str(folder), SPEC, replace(CONFIG, training=TrainingConfig()), {})


def resumed(folder: Path) -> tuple[int, dict[str, np.ndarray], Checkpoints, list[str]]:
    """(step, weights and optimizer, checkpoints, lines said)."""
    checkpoints, lines = opened(folder), list[str]()
    checkpoint = checkpoints.to_resume("auto", lines.append)
    assert checkpoint is not None
    return checkpoint.step, {**checkpoint.weights, **checkpoint.optimizer}, checkpoints, lines


def two_checkpoints(folder: Path) -> tuple[Path, Path]:
    """The older, and the newer, which is to be damaged."""
    checkpoints = opened(folder)
    return checkpoints.save(Weights(1), 1, 10), checkpoints.save(Weights(2), 2, 20)


def header_length(raw: bytes) -> int:
    return 8 + int.from_bytes(raw[:8], "little")


def flipped(raw: bytes, count: int, low: int, high: int, seed: int):
    """(bit, the bytes with that bit changed), `count` times, of the bytes from `low` to `high`."""
    bits = range(8 * low, 8 * high)
    for bit in random.Random(seed).sample(bits, min(count, len(bits))):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


def as_version_1(path: Path) -> None:
    """Rewrite a checkpoint as the first version of the format: nothing hashes the metadata."""
    arrays, metadata = saved(path)
    del metadata[METADATA_HASH]
    safetensors_file.write(path, arrays, "float32", metadata | {"checkpoint": "1"})


def test_any_changed_bit_is_noticed(tmp_path):
    _, newer = two_checkpoints(tmp_path)
    raw = newer.read_bytes()
    states = {20: resumed(tmp_path)[1]}
    newer.unlink()
    states[10] = resumed(tmp_path)[1]
    header = header_length(raw)
    outcomes = {10: 0, 20: 0}
    for bit, changed in [
        *flipped(raw, HEADER_FLIPS, 0, header, seed=0),
        *flipped(raw, DATA_FLIPS, header, len(raw), seed=1),
    ]:
        newer.write_bytes(changed)
        step, arrays, _, lines = resumed(tmp_path)
        assert arrays.keys() == states[step].keys(), bit
        assert all(np.array_equal(arrays[name], states[step][name]) for name in arrays), bit
        assert [line.startswith(f"passed over: {newer}") for line in lines] == [True] * (step == 10), lines
        outcomes[step] += 1
    print(f"{sum(outcomes.values())} flipped bits: {outcomes[10]} noticed, {outcomes[20]} of no effect")
    assert outcomes[10] > 0.99 * sum(outcomes.values())


@pytest.mark.parametrize("key", ["step", "config", "checkpoint", "variant"])
def test_one_changed_character_of_what_decides(key, tmp_path):
    """Also where the file is sound as such, as an editor would leave it."""
    _, newer = two_checkpoints(tmp_path)
    arrays, metadata = saved(newer)
    metadata[key] = metadata[key].replace("2", "3", 1) if "2" in metadata[key] else metadata[key] + "x"
    safetensors_file.write(newer, arrays, "float32", metadata)
    step, _, _, (line,) = resumed(tmp_path)
    assert step == 10 and "its metadata do not have the hash that they were saved with" in line


def test_a_checkpoint_of_the_first_version_is_resumed(tmp_path):
    _, newer = two_checkpoints(tmp_path)
    want = resumed(tmp_path)[1]
    as_version_1(newer)
    step, arrays, _, lines = resumed(tmp_path)
    assert (step, lines) == (20, []) and all(np.array_equal(arrays[name], want[name]) for name in want)


def test_a_damaged_file_of_the_first_version_is_no_traceback(tmp_path):
    """Its metadata have no hash, so a changed digit cannot be told; but all that cannot be read is passed over."""
    _, newer = two_checkpoints(tmp_path)
    as_version_1(newer)
    raw = newer.read_bytes()
    end = raw.index(b"}", 8)
    passed_over = 0
    for _, changed in flipped(raw, HEADER_FLIPS // 4, 0, end, seed=2):
        newer.write_bytes(changed)
        try:
            passed_over += resumed(tmp_path)[0] == 10
        except UserError as error:
            assert "is of another run" in str(error)
    assert passed_over


NO_FIELDS = {
    "no step": {"miou": "0.5"},
    "no mIoU": {"step": "10"},
    "words": {"step": "ten", "miou": "half"},
    "NaN": {"miou": "nan"},
}


@pytest.mark.parametrize("damage", ["a flipped bit", "truncated", "empty", *NO_FIELDS])
@pytest.mark.parametrize("metrics", [True, False])
def test_a_damaged_best_stops_no_sound_checkpoint(metrics, damage, tmp_path):
    """What was the best is then known from the metrics up to the checkpoint, or not at all."""
    checkpoints = opened(tmp_path)
    checkpoints.save(Weights(1), 1, 10)
    best = checkpoints.save_if_best(Weights(1), 10, 0.4)
    raw = bytearray(best.read_bytes())
    raw[-3] ^= 4
    if damage in NO_FIELDS:
        arrays, metadata = saved(best)
        kept = {"format": metadata["format"], "step": "10"} if damage == "NaN" else {"format": metadata["format"]}
        safetensors_file.write(best, arrays, "float32", kept | NO_FIELDS[damage])
    else:
        best.write_bytes({"a flipped bit": bytes(raw), "truncated": bytes(raw[:-9]), "empty": b""}[damage])
    if metrics:
        entries = [{"step": 5, "miou": 0.3}, {"step": 10, "miou": 0.4}, {"step": 10, "miou": None}, {"step": 20, "miou": 0.9}]
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    step, _, again, (line,) = resumed(tmp_path)
    assert (step, again.best_miou) == (10, 0.4 if metrics else -np.inf)
    assert line.startswith(f"WARNING: {best} is ")
    assert line.endswith("will replace it")
    assert bool(again.save_if_best(Weights(3), 20, 0.35)) != metrics


def test_a_bit_of_the_best_weights(tmp_path):
    checkpoints = opened(tmp_path)
    checkpoints.save(Weights(1), 1, 10)
    best = checkpoints.save_if_best(Weights(1), 10, 0.4)
    raw = best.read_bytes()
    for bit, changed in flipped(raw, HEADER_FLIPS // 4, 0, header_length(raw), seed=3):
        best.write_bytes(changed)
        step, _, again, _ = resumed(tmp_path)
        assert step == 10 and again.best_miou in (0.4, -np.inf), bit
    best.write_bytes(raw)
    assert resumed(tmp_path)[2].best_miou == 0.4 and read(best).atoms
