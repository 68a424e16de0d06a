"""How other implementations are asked: what they are given, and what is no answer."""

import pytest

from parity_tests.report.peers import OWN, NotInstalled, ask
from parity_tests.support import difference, features, hot_arrays, perturbed, random_images, torch_learner
from parity_tests.tolerances import tolerance
from segformer_core.spec.model import segformer


def test_a_peer_with_other_weights_is_seen(tmp_path, need_torch):
    """The way through the peer's file and process is part of the comparison: what is written there is what is computed."""
    spec = segformer("b0", class_count=7, numerics="hf")
    arrays, image = hot_arrays(spec), random_images(1, 64, 96)
    other = perturbed(arrays, "stages.3.blocks.1.mlp.fc2.bias", 1e-3)
    answer = ask("transformers", OWN, spec, other, [image], tmp_path / "peer")
    assert difference(features(torch_learner(spec, arrays), image)[3], answer.features[0][3]) > tolerance("features")


def test_a_peer_that_is_not_installed_is_no_answer(tmp_path, need_torch):
    spec = segformer("b0", class_count=7)
    with pytest.raises(NotInstalled, match=r"^transformers: not installed, there is no .*/no/python; `make peers` makes it$"):
        ask("transformers", tmp_path / "no/python", spec, {}, [], tmp_path / "a")
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {OWN} -S -E "$@"\n')  # without the environment's packages
    bare.chmod(0o755)
    with pytest.raises(NotInstalled, match=r"^transformers: not installed in .*/python \(.*No module named"):
        ask("transformers", bare, spec, hot_arrays(spec), [random_images(1, 64, 96)], tmp_path / "b")


def test_a_peer_that_fails_is_no_answer_either(tmp_path, need_torch):
    """A network that is not the weights' is refused by the peer, and that is a failure, not a skip."""
    spec = segformer("b0", class_count=7, numerics="hf")
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'names that do not fit' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(AssertionError, match="transformers failed: names that do not fit"):
        ask("transformers", broken, spec, hot_arrays(spec), [random_images(1, 64, 96)], tmp_path / "a")
