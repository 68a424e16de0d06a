"""The graphs whose costs are counted, at the original repository's setting: 512×1024, 19 classes, a training step of 2 images.

`python -m parity_tests.ascend.cost_forms NAME` compiles one.
"""

import sys
from pathlib import Path

from parity_tests.ascend.ascend_graphs import Form, compile_as_on_an_ascend, texts
from parity_tests.ascend.costs import Costs, costs
from parity_tests.ascend.graph_text import read
from segformer_core.spec.model import segformer

HEIGHT, WIDTH, CLASSES = 512, 1024, 19
TRAINING, INFERENCE = TASKS = ("training", "inference")
USUAL, FIRST, FULL, DRAWN = KINDS = ("fp16", "fp16, first 910", "fp32", "fp16, as drawn")
"""The default of training, the same on the first Ascend, the default of evaluation, and the network as the paper draws it."""


def form(task: str, kind: str, variant: str) -> Form:
    spec = segformer(variant, class_count=CLASSES, numerics="zoo" if kind == DRAWN else "nvlabs")
    return Form(kind[:4], (task,), spec, size=(HEIGHT, WIDTH), first=kind == FIRST)


def name(task: str, kind: str, variant: str) -> str:
    return f"{task} {variant} {kind}"


def counted(task: str, kind: str, variant: str, folder: Path) -> Costs:
    """The costs of a form, whose graph is compiled in `folder`, an empty one."""
    graphs = texts("parity_tests.ascend.cost_forms", name(task, kind, variant), form(task, kind, variant), folder)
    return costs(*read(graphs[task]))


if __name__ == "__main__":
    which = sys.argv[1].split(" ", 2)
    task, variant, kind = which
    if kind == DRAWN:
        from parity_tests.ascend.drawn_network import draw

        draw()
    compile_as_on_an_ascend(form(task, kind, variant))
