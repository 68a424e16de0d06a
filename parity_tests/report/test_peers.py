"""Live peers: the same weights in networks that none of us wrote, as installed here and in `.venv-peers`.

They are held against PyTorch's side; rung 2 holds MindSpore's to it, and to transformers.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from parity_tests.report.peers import OWN, PEERS, PEERS_PYTHON, NotInstalled, ask
from parity_tests.report.records import RECORDS
from parity_tests.support import (
    assert_close,
    features,
    hot_arrays,
    logits,
    random_images,
    torch_learner,
)
from segformer_core.spec.model import segformer

SIZES = [(2, 64, 96), (1, 160, 96), (1, 75, 131)]
CASES = {
    "transformers": ("transformers", (OWN,)),
    "transformers in .venv-peers": ("transformers", (PEERS_PYTHON,)),
    "smp": ("smp", (OWN, PEERS_PYTHON)),
    "timm": ("timm", (OWN, PEERS_PYTHON)),
}
"""A peer, and the environments where it is looked for; the first that has it answers."""


def answer_of(peer: str, pythons: tuple[Path, ...], spec, arrays, images, folder: Path):
    """The peer's answer; the test is skipped where the peer is not installed."""
    why = []
    for number, python in enumerate(pythons):
        try:
            return ask(peer, python, spec, arrays, images, folder / str(number))
        except NotInstalled as error:
            why.append(str(error))
    pytest.skip("; ".join(why))


@pytest.mark.parametrize("variant", ["b0", "b2"])
@pytest.mark.parametrize("case", CASES)
def test_a_peer_agrees(case, variant, tmp_path, need_torch):
    peer, pythons = CASES[case]
    spec = segformer(variant, class_count=7, numerics=PEERS[peer].numerics)
    divisor = PEERS[peer].divisor
    sizes = [size for size in SIZES if size[1] % divisor == size[2] % divisor == 0]
    arrays, images = hot_arrays(spec), [random_images(*size) for size in sizes]
    answer = answer_of(peer, pythons, spec, arrays, images, tmp_path)
    RECORDS.begin(replace(RECORDS.sides, network="torch", against=f"{PEERS[peer].title} {answer.version}"))
    learner = torch_learner(spec, arrays)
    for index, image in enumerate(images):
        where = f"of {variant.upper()} at {image.shape[2]}×{image.shape[3]}"
        for stage, feature in enumerate(features(learner, image)):
            assert_close(f"features of stage {stage} {where}", feature, answer.features[index][stage], "features")
        wanted = answer.logits[index]
        if wanted is not None:
            assert_close(f"logits {where}", logits(learner, image), wanted, "logits")
