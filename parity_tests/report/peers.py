"""Other implementations of SegFormer with our weights, each run by the Python of the environment that has it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parity_tests import ROOT
from parity_tests.report import peer_program
from segformer_core.spec.model import HEADS, MLP_RATIO, SR_RATIOS, VARIANTS, SegFormer
from segformer_core.weights.reading import read
from segformer_core.weights.store import save_weights
from segformer_core.weights.writing import plan_writing, write

OWN = Path(sys.executable)
PEERS_PYTHON = ROOT / ".venv-peers/bin/python"
"""`make peers` makes it."""
PLACES = {OWN: "the environment of the tests", PEERS_PYTHON: ".venv-peers"}


@dataclass(frozen=True)
class Peer:
    """A code base: its title, the constants that its own networks are trained with, and the weight file that it reads.

    `divisor` is what height and width must be divisible by; else the peer refuses the image, or computes another size.
    """

    title: str
    numerics: str
    file: str
    family: str
    drop_head: bool = False
    divisor: int = 1


PEERS = {
    "transformers": Peer("transformers", "hf", "hf", "hf"),
    "smp": Peer("segmentation_models_pytorch", "nvlabs", "smp.pth", "smp", divisor=32),
    "timm": Peer("timm's pvt_v2", "nvlabs", "timm.pth", "timm", drop_head=True),
}


class NotInstalled(Exception):
    """The environment has no such peer."""


@dataclass(frozen=True)
class Answer:
    """What a peer computed: tokens of c1..c4, each (B, H_i·W_i, C_i), and (B, K, H/4, W/4) or None, by image."""

    version: str
    features: tuple[tuple[np.ndarray, ...], ...]
    logits: tuple[np.ndarray | None, ...]


def ask(
    peer: str, python: Path, spec: SegFormer, arrays: Mapping[str, np.ndarray], images: list[np.ndarray], folder: Path
) -> Answer:
    """Let a peer load `arrays`, all of them and no other, and run on each of the images. Raises NotInstalled."""
    if not python.exists():
        raise NotInstalled(f"{PEERS[peer].title}: not installed, there is no {PLACES.get(python, python)}; `make peers` makes it")
    folder.mkdir()
    write_question(peer, spec, arrays, images, folder)
    words = [str(python), peer_program.__file__, peer, str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == peer_program.NOT_INSTALLED:
        raise NotInstalled(f"{PEERS[peer].title}: not installed in {PLACES.get(python, python)} ({_last(done.stderr)})")
    assert done.returncode == 0, f"{PEERS[peer].title} failed: {done.stderr}"
    return Answer(
        json.loads((folder / "versions.json").read_text())["peer"],
        tuple(tuple(map(_tokens, _stages(folder, place))) for place in range(len(images))),
        tuple(_loaded(folder / f"logits_{place}.npy") for place in range(len(images))),
    )


def write_question(peer: str, spec: SegFormer, arrays: Mapping[str, np.ndarray], images: list[np.ndarray], folder: Path) -> None:
    """What `peer_program` reads."""
    about, variant = PEERS[peer], VARIANTS[spec.variant]
    save_weights(folder / "ours.safetensors", spec, dict(arrays))
    weights = read(folder / "ours.safetensors")
    planned = plan_writing(weights, folder / about.file, about.family, about.drop_head)
    write(weights, folder / about.file, planned)
    network = {
        "variant": spec.variant,
        "classes": spec.class_count,
        "widths": variant.widths,
        "depths": variant.depths,
        "decoder_width": spec.decoder_width,
        "heads": HEADS,
        "reductions": SR_RATIOS,
        "ratios": [MLP_RATIO] * 4,
    }
    (folder / "network.json").write_text(json.dumps(network))
    for place, image in enumerate(images):
        np.save(folder / f"images_{place}.npy", image)


def _stages(folder: Path, place: int) -> Iterator[np.ndarray]:
    for stage in range(4):
        yield np.load(folder / f"features_{place}_{stage}.npy")


def _tokens(feature: np.ndarray) -> np.ndarray:
    """(B, C, H, W) -> (B, H·W, C)."""
    return np.ascontiguousarray(feature.reshape(*feature.shape[:2], -1).transpose(0, 2, 1))


def _loaded(path: Path) -> np.ndarray | None:
    return np.load(path) if path.exists() else None


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]
