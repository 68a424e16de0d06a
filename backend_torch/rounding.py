"""The exported graph with every value rounded to a lower type, as a compiler that lowers all types would have it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from backend_torch.layers import DTYPES
from segformer_core.protocol.probe import Rounded

ARG_MAX = torch.ops.aten.argmax.default


def run_rounded(module: fx.GraphModule, batches: Sequence[np.ndarray], precision: str) -> Rounded:
    """The graph of one input, run on each batch. Within an operator it is computed in fp32."""
    run = Rounding(module, DTYPES[precision])
    with torch.inference_mode():
        for batch in batches:
            run.run(torch.from_numpy(batch))
    overflow = next((layer_of(node) for node in module.graph.nodes if node in run.overflowed), "")
    return Rounded(tuple(run.scores), run.largest, overflow)


class Rounding(fx.Interpreter):
    """Runs a graph operator by operator, rounds weights and outputs to `dtype`, and notes how large they are."""

    def __init__(self, module: fx.GraphModule, dtype: torch.dtype):
        super().__init__(module)
        self.dtype = dtype
        nodes: Any = module.graph.nodes
        (logits,) = next(node.args[0] for node in nodes if node.op == "output")
        self.decisive = next((node.args[0] for node in nodes if node.target == ARG_MAX), logits)
        self.scores: list[np.ndarray] = []
        self.largest: dict[str, float] = {}
        self.overflowed: set[fx.Node] = set()

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        rounded = value.to(self.dtype).to(value.dtype)
        layer = layer_of(node)
        if layer and node.op != "get_attr":  # a weight counts where it is used
            largest = value.abs().max()
            self.largest[layer] = max(self.largest.get(layer, 0.0), float(largest))
            if not largest.to(self.dtype).isfinite():
                self.overflowed.add(node)
        if node is self.decisive:
            self.scores.append(rounded.numpy())
        return rounded


def layer_of(node: fx.Node) -> str:
    """The module that calls the operator, `stages.0.blocks.1.mlp.fc1`; the input's own name.

    Empty between the stages, where a map only gets another shape.
    """
    modules = list(node.meta.get("nn_module_stack", {"": (node.name, None)}).values())
    return modules[-1][0]
