"""`compile_cache` keeps MindSpore's graph of the first image's shape; another image, or other weights, never get what it kept."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from parity_tests import ROOT
from parity_tests.support import CONFIG, hot_arrays, random_images, runtime_of
from segformer_core.spec.model import VARIANTS, Variant, segformer

SPEC = segformer(Variant(VARIANTS["b0"].widths, (1, 1, 1, 1), VARIANTS["b0"].decoder_width))
REUSED = "Use the compilation cache"
"""MindSpore's words where it does not compile."""


def label(cache: str, seed: int, heights: list[int]) -> list[np.ndarray]:
    """The logits of images of 64 columns, by a learner that does not train."""
    from backend_mindspore.device import connect

    evaluation = replace(CONFIG.evaluation, eval_scales=(0.5, 1.0))  # so each of two shapes has a graph of its own
    config = replace(CONFIG, runtime=replace(runtime_of("mindspore"), compile_cache=cache), evaluation=evaluation)
    learner = connect(config.runtime).learner(SPEC, config, print)
    learner.load_arrays(hot_arrays(SPEC, seed))
    return [learner.forward(random_images(1, height, 64)) for height in heights]


def label_in_a_process(cache: Path, seed: int, heights: list[int], target: Path) -> tuple[str, list[np.ndarray]]:
    """(what it said, the logits)."""
    words = [sys.executable, "-m", "parity_tests.test_compile_cache", target, cache, seed, *heights]
    done = subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    with np.load(target) as found:
        return done.stdout, [found[name] for name in found.files]


def test_only_the_first_graph_is_kept(need_mindspore, tmp_path):
    """The second graph of the second process is not that of the first, though MindSpore counts them alike."""
    cache = tmp_path / "kept"
    said, _ = label_in_a_process(cache, 0, [32, 64], tmp_path / "first.npz")
    assert REUSED not in said
    assert [path.name for path in cache.rglob("*.mindir")] == ["compile_cache_0.mindir"]
    said, got = label_in_a_process(cache, 1, [32, 96], tmp_path / "second.npz")
    assert said.count(REUSED) == 1, said
    for found, want in zip(got, label("", 1, [32, 96]), strict=True):
        np.testing.assert_array_equal(found, want)


if __name__ == "__main__":
    target, cache, seed, *heights = sys.argv[1:]
    np.savez(target, *label(cache, int(seed), [int(height) for height in heights]))
