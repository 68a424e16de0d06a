"""The rungs of the ladder, from names to files: what each compares, and the tests that are it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """`tests` are files of parity_tests, or single tests of them. Where `exact`, nothing may differ at all."""

    number: int
    title: str
    what: str
    tests: tuple[str, ...]
    exact: bool = False


LADDER = (
    Rung(
        0,
        "names",
        "names, shapes and parameter counts: the spec, both twins, transformers and the counts of the paper's code",
        ("test_rung0_names.py",),
        exact=True,
    ),
    Rung(
        1,
        "layers",
        "each layer and kernel against numpy in float64, with a probe that exposes its constant",
        ("test_rung1_leaves.py",),
    ),
    Rung(
        2,
        "forward",
        "features of each stage and logits, on weights that make every array matter, sizes down to 32×32 and not divisible by 32",
        ("test_rung2_forward.py",),
    ),
    Rung(
        3,
        "gradients",
        "loss, every gradient (relative) and BatchNorm's running statistics, with drop path and dropout",
        ("test_rung3_gradients.py",),
    ),
    Rung(
        4,
        "training",
        "AdamW steps with schedule, parameter groups, augmentation, drop path and dropout; two processes against one",
        ("test_rung4_training.py", "test_distributed.py::test_two_processes_are_one"),
    ),
    Rung(
        5,
        "pixels",
        "augmentation, the loaders of both frameworks, label maps and scores",
        ("data/test_transforms.py", "test_plan.py", "evaluation/test_metrics.py"),
        exact=True,
    ),
    Rung(
        6,
        "files",
        "weight files of every code base, read and written again bit for bit, also through the other framework",
        (
            "weights/test_weight_dialects.py",
            "weights/test_array_layouts.py",
            "weights/test_framework_files.py",
            "weights/test_weight_files.py",
        ),
        exact=True,
    ),
)
OF_SPEED = ("weights/test_framework_files.py::test_b5_converts_quickly_in_little_memory",)
"""Tests of those files that are no comparison: they would fail on a busy machine."""

PEERS = "report/test_peers.py"
PUBLISHED = "report/test_published.py"


def rung_of(test: str) -> int | None:
    """The number of the rung that a test belongs to, by its pytest name; None if to none."""
    for rung in LADDER:
        for part in rung.tests:
            if test.startswith(f"parity_tests/{part}"):
                return rung.number
    return None
