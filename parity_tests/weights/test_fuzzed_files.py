"""Mutated files of every container: arrays or one sentence, within bounds; never another exception, never a hang.

`make test` tries 20 mutations of each kind, `make test-all` 1,000; both with fixed seeds.
"""

import json
import pickle
import pickletools
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity_tests.training_runs import FULL
from parity_tests.weights.hostile import torch_bytes
from parity_tests.weights.weight_files import saved
from segformer_core.errors import UserError
from segformer_core.weights import containers
from segformer_core.weights.containers import hdf5_file, mindspore_file, torch_file
from segformer_core.weights.containers.stored import Stored

TRIALS = 1000 if FULL else 20
MOST_SECONDS = 5
MOST_BYTES = 2**30
"""Of address space beyond what the process has when a test begins."""

RNG = np.random.default_rng(0)
ARRAYS = {
    "backbone.block1.0.attn.q.weight": RNG.standard_normal((8, 8)).astype(np.float32),
    "backbone.patch_embed1.proj.weight": RNG.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "decode_head.linear_fuse.bn.num_batches_tracked": np.array(7),
    "decode_head.bias": RNG.standard_normal(19).astype(np.float32),
}
"""Small, so that most mutations hit the structure."""


class Settings:
    """An object beside the weights."""

    def __init__(self):
        self.steps, self.names = {1, 2}, {"a": (1, 2.5), None: [b"x"]}


def torch_zipped(path: Path) -> None:
    torch_file.write(path, ARRAYS, "float32")


def torch_with_objects(path: Path, **options: bool) -> None:
    import torch

    state = {name: torch.from_numpy(np.array(array)) for name, array in ARRAYS.items()}
    tree = {"state_dict": state, "settings": Settings(), "epoch": 3}
    path.write_bytes(torch_bytes(tree, **options))


def torch_legacy(path: Path) -> None:
    torch_with_objects(path, _use_new_zipfile_serialization=False)


def paddle(path: Path) -> None:
    path.write_bytes(pickle.dumps({**ARRAYS, "settings": Settings(), "StructuredToParameterName@@": {"a": "b"}}, 4))


def mindspore(path: Path) -> None:
    mindspore_file.write(path, ARRAYS, "float16")


def safetensors(path: Path) -> None:
    saved(path, ARRAYS, {"note": "x"})


def hdf5(path: Path) -> None:
    import h5py

    hdf5_file.write(path, {name.replace(".", "/"): array for name, array in ARRAYS.items()}, "float32")
    with h5py.File(path, "a") as file:
        file.create_dataset("compressed", data=np.zeros((40, 40), np.float32), compression="gzip", shuffle=True)


def keras(path: Path) -> None:
    hdf5(path.with_suffix(".h5"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.write(path.with_suffix(".h5"), "model.weights.h5")


def index(path: Path) -> None:
    safetensors(path.with_name("model-1.safetensors"))
    weight_map = dict.fromkeys(ARRAYS, "model-1.safetensors")
    path.write_text(json.dumps({"metadata": {"total_size": 3}, "weight_map": weight_map}))


MAKERS = {
    "x.pth": torch_zipped,
    "objects.pth": torch_with_objects,
    "legacy.pth": torch_legacy,
    "x.pdparams": paddle,
    "x.ckpt": mindspore,
    "x.safetensors": safetensors,
    "x.h5": hdf5,
    "x.keras": keras,
    "model.safetensors.index.json": index,
}


def flipped(raw: bytearray, rng: np.random.Generator) -> bytearray:
    """Up to 8 bits."""
    for at in rng.integers(0, len(raw), rng.integers(1, 9)):
        raw[at] ^= 1 << int(rng.integers(8))
    return raw


def extreme(raw: bytearray, rng: np.random.Generator) -> bytearray:
    """Lengths are where bytes of 0, 127, 128 and 255 do harm."""
    at, count = int(rng.integers(len(raw))), int(rng.choice([1, 2, 4, 8]))
    raw[at : at + count] = bytes([int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))]) * count
    return raw


def truncated(raw: bytearray, rng: np.random.Generator) -> bytearray:
    return raw[: rng.integers(1, len(raw))]


def spliced(raw: bytearray, rng: np.random.Generator) -> bytearray:
    """A piece of the file goes to another place."""
    start, at = rng.integers(0, len(raw), 2)
    raw[at:at] = raw[start : start + rng.integers(1, 200)]
    return raw


def swapped(raw: bytearray, rng: np.random.Generator) -> bytearray:
    """Two blocks change places."""
    length = int(rng.integers(1, 65))
    one, other = sorted(rng.integers(0, max(1, len(raw) - 2 * length), 2))
    other += length
    raw[one : one + length], raw[other : other + length] = raw[other : other + length], raw[one : one + length]
    return raw


def removed(raw: bytearray, rng: np.random.Generator) -> bytearray:
    at = int(rng.integers(len(raw)))
    del raw[at : at + int(rng.integers(1, 65))]
    return raw


MUTATIONS: list[Callable[[bytearray, np.random.Generator], bytearray]] = [flipped, extreme, truncated, spliced, swapped, removed]


def outcome(path: Path) -> str:
    """ "arrays" or the sentence. Anything else fails the test."""
    start = time.process_time()
    try:
        with containers.opened(path) as content:
            _load(content.tree)
        result = "arrays"
    except UserError as error:
        result = str(error)
        assert result.isprintable() and len(result) < 2000, result
    assert time.process_time() - start < MOST_SECONDS
    return result


def _load(tree: object) -> None:
    for value in tree.values() if isinstance(tree, dict) else ():
        if isinstance(value, Stored):
            value.load()
        _load(value)


@pytest.fixture
def limited_memory():
    """Fails the test, instead of the machine, if a file takes more."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MOST_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
@pytest.mark.parametrize("name", MAKERS)
def test_mutated_files(name, mutate, tmp_path, need_torch, limited_memory):
    path = tmp_path / name
    MAKERS[name](path)
    assert outcome(path) == "arrays"
    whole = path.read_bytes()
    for trial in range(TRIALS):
        path.write_bytes(mutate(bytearray(whole), np.random.default_rng([trial, len(name)])))
        outcome(path)


def instructions(pickled: bytes) -> list[bytes]:
    starts = [at for _, _, at in pickletools.genops(pickled)] + [len(pickled)]
    return [pickled[start:end] for start, end in zip(starts, starts[1:], strict=False)]


def _pickled(name: str, tmp_path: Path) -> tuple[bytes, Callable[[bytes], None]]:
    """The pickle of a file, and how to write the file with another."""
    path = tmp_path / name
    MAKERS[name](path)
    if name.endswith(".pdparams"):
        return path.read_bytes(), lambda pickled: path.write_bytes(pickled) and None
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    data = next(member for member in members if member.endswith("data.pkl"))

    def write(pickled: bytes) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in (members | {data: pickled}).items():
                archive.writestr(member, content)

    return members[data], write


@pytest.mark.parametrize("name", ["x.pth", "objects.pth", "x.pdparams"])
def test_pickles_of_other_instructions(name, tmp_path, need_torch, limited_memory):
    """Instructions are inserted, removed, doubled and exchanged; the pickle stays one of whole instructions."""
    pickled, write = _pickled(name, tmp_path)
    parts = instructions(pickled)
    bare = [opcode.code.encode("latin1") for opcode in pickletools.opcodes if opcode.arg is None and opcode.name != "STOP"]
    pool = [
        *bare,
        *parts,
        b"h\x00",
        b"h\x01",
        b"cbuiltins\ngetattr\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"\x8a\x08" + b"\xff" * 8,
    ]
    seen = set()
    for trial in range(6 * TRIALS):
        rng, mutated = np.random.default_rng([trial, 7]), list(parts)
        for _ in range(rng.integers(1, 6)):
            at, other = rng.integers(1, len(mutated) - 1, 2)
            kind = rng.integers(4)
            if kind == 0:
                mutated.insert(at, pool[rng.integers(len(pool))])
            elif kind == 1:
                del mutated[at]
            elif kind == 2:
                mutated[at], mutated[other] = mutated[other], mutated[at]
            else:
                mutated[at] = pool[rng.integers(len(pool))]
        write(b"".join(mutated))
        seen.add(outcome(tmp_path / name) == "arrays")
    assert seen == {True, False}, "the mutations are neither all harmless nor all fatal"
