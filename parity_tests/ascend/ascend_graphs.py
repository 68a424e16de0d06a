"""The graphs that backend_mindspore runs on an Ascend, compiled as far as a machine without one can.

MindSpore's front end chooses every operator of a graph before it searches for a device's kernels, and it can stop there.
Environment variables say what it writes and where. It reads them when it is imported, so each form is compiled in a process of
its own: `python -m parity_tests.ascend.ascend_graphs NAME`.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests import ROOT
from segformer_core.config.keys import Config, LossConfig, OptimizerConfig, TrainingConfig
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Precision, Training
from segformer_core.spec.model import VARIANTS, SegFormer, Variant, segformer

CLASSES = 5
MOST_SCORES = 1 << 26
"""`backend_mindspore.kernels`'."""
HEIGHT, WIDTH = 64, 72
"""Pixels. A width of 72 is no multiple of the sr convolution's stride, so the rest is cut off first."""


def small_network() -> SegFormer:
    """b0's first and last stage with one block each, one for each kind of GELU. It has every choice of the paper's networks."""
    widths = VARIANTS["b0"].widths
    shape = Variant((*widths[:2], widths[0], widths[3]), (1, 1, 1, 1), VARIANTS["b0"].decoder_width)
    spec = segformer(shape, class_count=CLASSES)
    first, _, _, last = (
        replace(stage, blocks=tuple(replace(block, mlp=replace(block.mlp, gelu=gelu)) for block in stage.blocks))
        for stage, gelu in zip(spec.stages, ("erf", "erf", "erf", "tanh"), strict=True)
    )
    head, width = spec.decode_head, spec.decoder_width
    fuse = replace(head.linear_fuse, conv=replace(head.linear_fuse.conv, in_channels=2 * width))
    head = replace(head, linear_c=(head.linear_c[0], head.linear_c[3]), linear_fuse=fuse)
    return replace(spec, stages=(first, last), decode_head=head)


@dataclass(frozen=True)
class Form:
    """What is compiled, and the names of the graphs that MindSpore then writes, in their order."""

    precision: str
    graphs: tuple[str, ...]
    spec: SegFormer = small_network()
    config: Config = Config()
    class_weights: tuple[float, ...] | None = None
    processes: int = 1
    size: tuple[int, int] = (HEIGHT, WIDTH)
    first: bool = False
    """An Ascend of the first generation."""
    most_scores: int = MOST_SCORES


HARD_PIXELS = LossConfig(ohem_threshold=0.7)
EVERY_LOSS = LossConfig(loss="{ce: 1, dice: 1, focal: 1, lovasz: 1}")
EVERY_OPTION: dict[str, Any] = {
    "config": Config(
        optimizer=OptimizerConfig(clip_norm=1.0),
        loss=HARD_PIXELS,
        training=TrainingConfig(accumulation_steps=2),
    ),
    "class_weights": tuple(1.0 + label for label in range(CLASSES)),
}
IN_PARTS = ("probabilities", "hard pixels", "accumulation", "training")
B0, B2 = segformer("b0", class_count=CLASSES), segformer("b2", class_count=CLASSES)
QUICK = {
    "training fp16, every option": Form("fp16", IN_PARTS, **EVERY_OPTION),
    "inference fp16": Form("fp16", ("inference", "inference, any size")),
    "inference fp32": Form("fp32", ("inference", "inference, any size", "after the network")),
    "inference fp32, attention by blocks": Form("fp32", ("inference",), most_scores=600),
    "training fp16, first Ascend": Form("fp16", IN_PARTS, first=True, processes=2, **EVERY_OPTION),
    "training fp16, every loss": Form("fp16", ("training",), config=Config(loss=EVERY_LOSS)),
}
"""The precision that an Ascend trains in by default, and both precisions of inference."""

SLOW = {
    "training fp32, every option": Form("fp32", IN_PARTS, **EVERY_OPTION),
    "training bf16": Form("bf16", ("training",)),
    "training fp16": Form("fp16", ("training",)),
    "training fp16, two processes": Form("fp16", ("training",), config=Config(loss=HARD_PIXELS), processes=2),
    "inference fp16, b0": Form("fp16", ("inference",), B0),
    "training fp16, b0": Form("fp16", ("training",), B0),
    "training fp16, b2": Form("fp16", ("training",), B2),
}
FORMS = QUICK | SLOW


def choices(node: Any) -> set[str]:
    """What a backend's code could branch on, by field: a layer's kind or none, a string, and whether a number is 0, 1 or another.

    Strings that name a network are left out. Networks with the same choices have the same operators, more or fewer times.
    """
    result = set()
    for field in fields(node):
        value, where = getattr(node, field.name), f"{type(node).__name__}.{field.name}"
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, int | float):
                result.add(f"{where} {part:g}" if part in (0, 1) else f"{where} another number")
            elif part is None or isinstance(part, str):
                result |= set() if isinstance(node, SegFormer) else {f"{where} {part}"}
            else:
                result |= {f"{where} {type(part).__name__}"} | choices(part)
    return result


class Graph:
    """A graph in MindSpore's text form: `  %7(equiv_5_x) = PrimFunc_Reshape(%6, (I64(256), I64(-1))) {…}` and a line of types."""

    CALL = re.compile(r"^  %\d+\([^()]*\) = (?:PrimFunc_)?(\w+)(\(.*(?:\n(?!  (?:%|Return)| +: ).*)*(?:\n *: .*)?)", re.MULTILINE)

    def __init__(self, text: str):
        self.calls: list[tuple[str, str]] = self.CALL.findall(text)
        """(operator, its arguments, attributes and types)."""
        self.operators = Counter(operator for operator, _ in self.calls)
        returns = len(re.findall(r"^  Return\(", text, re.MULTILINE))
        stated = sum(map(int, re.findall(r"^Total number of cnodes: (\d+)", text, re.MULTILINE)))
        assert len(self.calls) + returns == stated > 0, f"{len(self.calls)} operators, {returns} returns of {stated} nodes read"


def compiled(name: str, folder: Path) -> dict[str, Graph]:
    """The graphs of a form by name. The files that they are read from stay in `folder`."""
    return {graph: Graph(text) for graph, text in texts("parity_tests.ascend.ascend_graphs", name, FORMS[name], folder).items()}


def texts(module: str, name: str, form: Form, folder: Path) -> dict[str, str]:
    """The graphs, by name, that `python -m module name` compiles, as MindSpore writes them. The files stay in `folder`."""
    environment = {
        "MS_DEV_PRECOMPILE_ONLY": "1",
        "MS_DEV_SAVE_GRAPHS": "1",
        "MS_DEV_SAVE_GRAPHS_PATH": str(folder),
        "MS_DEV_DUMP_IR_PASSES": "validate",  # the last pass that is the same for every device
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    process = subprocess.run(
        [sys.executable, "-m", module, name],
        cwd=folder,  # a compilation that fails leaves files in its current folder
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.returncode == 0, f"{name} does not compile:\n{process.stdout}"
    files = sorted(folder.glob("*_validate_*.ir"), key=lambda path: int(path.stem.rpartition("_")[2]))
    assert len(files) == len(form.graphs), f"{name} has {form.graphs}, but MindSpore wrote {[file.name for file in files]}"
    return {graph: file.read_text() for graph, file in zip(form.graphs, files, strict=True)}


def compile_as_on_an_ascend(form: Form) -> None:
    """Compile the graphs of a form, in this process: `texts` says how its environment has to be."""
    import mindspore as ms
    from mindspore import ops

    from backend_mindspore import attention, distributed, kernels, overflow
    from backend_mindspore.learner import Learner
    from parity_tests.mindspore_cells import AfterTheNetwork
    from parity_tests.support import random_batch, random_masks

    ms.set_context(mode=ms.GRAPH_MODE)
    kernels.on = lambda device: device == "Ascend"
    attention.MOST_SCORES = form.most_scores
    if form.first:
        kernels.first_ascend = overflow.first_ascend = lambda: True
        ms.amp._ascend_target = ms.amp._ascend_910a_target = ops.constexpr(lambda: True)
    distributed.STATE["count"] = form.processes  # no data is sent, so no other process is needed
    groups = parameter_groups(form.spec, form.config.optimizer)
    learner = Learner(
        form.spec, form.config, Training(groups, form.class_weights), Precision(form.precision, form.precision), print
    )
    if "inference" in form.graphs:
        learner.model.set_train(False)
        images = ms.Tensor(random_batch(form.spec, 1, *form.size)[0])
        learner.logits(images)
        if "inference, any size" in form.graphs:
            learner.logits_of_any_shape(images)
        if "after the network" in form.graphs:
            AfterTheNetwork()(images)
        return
    learner.model.set_train(True)
    masks = random_masks(form.spec, 2)
    batch = [ms.Tensor(array) for array in (*random_batch(form.spec, 2, *form.size), masks.paths, masks.channels)]
    if "accumulation" in form.graphs:
        learner.training_step.probabilities(*batch)
        learner.training_step.hard_pixels(ms.Tensor(np.ones(batch[1].shape, np.float32)), batch[1])
        learner.training_step.accumulate(*batch)
    learner.training_step(*batch, ms.Tensor(np.ones(len(groups), np.float32)))


if __name__ == "__main__":
    compile_as_on_an_ascend(FORMS[sys.argv[1]])
