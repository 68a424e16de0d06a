"""AdamW in PyTorch; `backend_mindspore/optimizer.py` is its twin."""

from collections.abc import Mapping, Sequence

import torch

from segformer_core.config import OptimizerConfig
from segformer_core.training.schedule import ADAM_EPS, ParameterGroup


def adamw(
    parameters: Mapping[str, torch.nn.Parameter], groups: Sequence[ParameterGroup], config: OptimizerConfig
) -> torch.optim.AdamW:
    """One param_group per group, in order; the learning rates are set before every step."""
    return torch.optim.AdamW(
        [{"params": [parameters[name] for name in group.names], "weight_decay": group.weight_decay} for group in groups],
        lr=config.lr,
        betas=(config.momentum, config.beta2),
        eps=ADAM_EPS,
        amsgrad=False,
        fused=True,
    )
