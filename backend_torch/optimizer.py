"""AdamW and the loss scale in PyTorch; `backend_mindspore/optimizer.py` is its twin."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from segformer_core.config.keys import OptimizerConfig
from segformer_core.protocol import loss_scale
from segformer_core.protocol.groups import ADAM_EPS, ParameterGroup


class AdamW:
    """Adam with bias correction and decoupled weight decay (arXiv 1711.05101); skips without synchronising.

    On an Ascend it synchronises: torch_npu's fused kernel takes the factor and the overflow, and does not look at them.
    """

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], groups: Sequence[ParameterGroup], config: OptimizerConfig):
        self.parameters = {name: parameters[name] for group in groups for name in group.names}
        self.adamw: Any = torch.optim.AdamW(
            [{"params": [parameters[name] for name in group.names], "weight_decay": group.weight_decay} for group in groups],
            lr=config.lr,
            betas=(config.momentum, config.beta2),
            eps=ADAM_EPS,
            amsgrad=False,
            fused=True,
        )
        self.kernel_skips = not any(parameter.device.type == "npu" for parameter in self.parameters.values())

    def __call__(self, learning_rates: Sequence[float], factor: Tensor, finite: Tensor) -> None:
        """One step along the parameters' gradients times `factor`, or none at all if not `finite`."""
        for group, rate in zip(self.adamw.param_groups, learning_rates, strict=True):
            group["lr"] = rate
        if self.kernel_skips:
            self.adamw.grad_scale, self.adamw.found_inf = 1.0 / factor, (~finite).float()
        elif finite:
            torch._foreach_mul_(self.gradients(), factor)
        else:
            return
        self.adamw.step()

    def gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]

    @property
    def steps(self) -> Tensor:
        """The number of steps taken, each parameter's own count."""
        first = next(iter(self.parameters.values()))
        return self.adamw.state[first].get("step", torch.zeros((), device=first.device))

    def arrays(self) -> dict[str, Tensor]:
        """moment1.NAME and moment2.NAME of every parameter, and the number of steps taken."""
        arrays = {}
        for name, parameter in self.parameters.items():
            state = self.adamw.state[parameter]
            arrays[f"moment1.{name}"] = state.get("exp_avg", torch.zeros_like(parameter))
            arrays[f"moment2.{name}"] = state.get("exp_avg_sq", torch.zeros_like(parameter))
            arrays["steps"] = state.get("step", torch.zeros(()))
        return arrays

    def load(self, arrays: Mapping[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            self.adamw.state[parameter] = {
                "step": arrays["steps"].to(parameter.device, torch.float32).clone(),
                "exp_avg": arrays[f"moment1.{name}"].to(parameter.device).clone(memory_format=torch.preserve_format),
                "exp_avg_sq": arrays[f"moment2.{name}"].to(parameter.device).clone(memory_format=torch.preserve_format),
            }


class LossScale:
    """The factor on the loss before its gradient is taken. It stays on the device."""

    def __init__(self, precision: str, device: torch.device):
        self.dynamic = precision == "fp16"
        self.value = torch.tensor(loss_scale.first_scale(precision), device=device)
        self.clean_steps = torch.zeros((), device=device)
        self.skipped_steps = torch.zeros((), device=device)

    def __call__(self, finite: Tensor) -> None:
        """Update the scale after a step; `finite` says whether every gradient of the step was finite."""
        self.skipped_steps = torch.where(finite, 0.0, self.skipped_steps + 1.0)
        if not self.dynamic:
            return
        clean = torch.where(finite, self.clean_steps + 1.0, 0.0)
        grows = clean >= loss_scale.CLEAN_STEPS
        grown = torch.where(grows, self.value * loss_scale.FACTOR, self.value)
        value = torch.where(finite, grown, self.value / loss_scale.FACTOR)
        self.value = value.clamp(loss_scale.SMALLEST, loss_scale.LARGEST)
        self.clean_steps = torch.where(grows, 0.0, clean)

    def arrays(self) -> dict[str, Tensor]:
        return {"loss_scale": self.value, "clean_steps": self.clean_steps, "skipped_steps": self.skipped_steps}

    def load(self, arrays: Mapping[str, Tensor]) -> None:
        self.clean_steps = arrays["clean_steps"].to(self.value)
        self.skipped_steps = arrays["skipped_steps"].to(self.value)
        self.value = arrays["loss_scale"].to(self.value)
