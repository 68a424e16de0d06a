"""The benchmark's floor: what the matrix products of a network take alone."""

from collections.abc import Callable

import torch

from backend_torch import onednn
from backend_torch.layers import DTYPES
from segformer_core.commands.contestants import CLASS_COUNT, TRAINING, Setting
from segformer_core.spec.flops import matrix_flops
from segformer_core.spec.model import segformer

SIDE = 2048
"""Of a weight that is large enough for the machine's full speed."""


def product_of(task: str, setting: Setting) -> Callable[[], object]:
    """A product with a weight of SIDE × SIDE, of as many rows as make up the operations of `task`; it waits for the device."""
    device = torch.device("cpu" if setting.device_target == "CPU" else "cuda")
    images = setting.batch if task == TRAINING else 1
    flops = images * matrix_flops(segformer(setting.variant, CLASS_COUNT), setting.size, task == TRAINING)
    rows = max(1, round(flops / (2 * SIDE**2)))
    x, weight = (torch.ones(count, SIDE, device=device, dtype=DTYPES[setting.precision]) for count in (rows, SIDE))

    @torch.inference_mode()
    def run() -> None:
        y = onednn.linear(x, weight, None) if onednn.takes(x) else torch.nn.functional.linear(x, weight)
        y[-1, -1].item()

    return run
