"""A stand-in for torch_npu: the device `npu` is the CPU, with what torch_npu does differently.

`python -m parity_tests.npu_stand_in saturates` acts as a card without infinity. It prints what backend_torch did, as JSON.
"""

import json
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from parity_tests.support import CONFIG, hot_arrays, random_batch, random_masks
from segformer_core.config.keys import OptimizerConfig, RuntimeConfig
from segformer_core.errors import BackendError
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Learner, Training
from segformer_core.spec.model import segformer

CARDS = 4
CALLS: list[str] = []


class OnTheCpu(TorchFunctionMode):
    """Tensors are made on the CPU and say that they are on `npu`; layouts and the fused AdamW are as torch_npu has them."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__self__", None) is torch.Tensor.device:
            return torch.device("npu:1")
        if (
            function is torch.Tensor.contiguous
            and (kwargs or {}).get("memory_format", torch.contiguous_format) != torch.contiguous_format
        ):
            raise RuntimeError("NPU contiguous operator only supportted contiguous memory format.")
        kwargs = {name: self.on_cpu(value) for name, value in (kwargs or {}).items()}
        if function is torch._fused_adamw_:
            kwargs |= {"grad_scale": None, "found_inf": None}
        return function(*map(self.on_cpu, args), **kwargs)

    @staticmethod
    def on_cpu(value: Any) -> Any:
        return torch.device("cpu") if isinstance(value, torch.device) else value


def install(saturates: bool) -> ModuleType:
    """`import torch_npu` gives the stand-in."""
    torch.utils.rename_privateuse1_backend("npu")
    switch = {"allow_hf32": True}
    module: Any = ModuleType("torch_npu")
    module.npu = SimpleNamespace(
        is_available=lambda: False,  # for PyTorch itself, which would ask it for streams
        device_count=lambda: CARDS,
        set_device=lambda device: CALLS.append(f"set_device {device}"),
        max_memory_allocated=lambda: 123,
        conv=SimpleNamespace(**switch),
        matmul=SimpleNamespace(**switch),
        utils=SimpleNamespace(is_support_inf_nan=lambda: not saturates),
    )
    sys.modules["torch_npu"] = module
    torch._register_device_module("npu", module.npu)
    return module


def trained(learner: Learner) -> dict[str, Any]:
    """Four steps, every other one with an overflow; then the sums of absolute values of the arrays and of gradients' averages."""
    spec = segformer("b0", class_count=5)
    images, labels = random_batch(spec, 2, 32, 64)
    spoilt = images.copy()
    spoilt[0, 0, 5, 5] = np.nan
    steps = [
        learner.step((batch, labels), random_masks(spec, 2), (1e-3, 1e-3, 1e-3)) for batch in (spoilt, images, spoilt, images)
    ]
    moments = {name: array for name, array in learner.optimizer_arrays().items() if name.startswith("moment1")}
    return {
        "losses": [float(step.loss) for step in steps],
        "overflowed": [bool(step.overflowed) for step in steps],
        "steps": float(learner.optimizer_arrays()["steps"]),
        "sums": {name: float(np.abs(array).sum()) for name, array in (learner.arrays() | moments).items()},
    }


def learner_on(runtime: RuntimeConfig) -> Learner:
    from backend_torch.device import connect

    spec = segformer("b0", class_count=5)
    config = replace(CONFIG, runtime=runtime, optimizer=OptimizerConfig(clip_norm=1.0, ema_decay=0.9))
    training = Training(parameter_groups(spec, config.optimizer))
    learner = connect(runtime).learner(spec, config, print, training)
    learner.load_arrays(hot_arrays(spec))
    return learner


def main(saturates: bool) -> None:
    from backend_torch.device import connect

    module = install(saturates)
    ascend = RuntimeConfig(device_target="Ascend", device_id=1)
    backend = connect(ascend)
    report: dict[str, Any] = {
        "device": backend.device,
        "precision": [backend.precision.inference, backend.precision.training],
        "calls": CALLS,
        "hf32": [module.npu.conv.allow_hf32, module.npu.matmul.allow_hf32],
        "peak": backend.peak_memory(),
    }
    for name, runtime in {"fp16": replace(ascend, precision="fp16"), "card": replace(ascend, device_id=CARDS)}.items():
        try:
            report[name] = connect(runtime).precision.training
        except BackendError as error:
            report[name] = str(error)
    full = replace(ascend, precision="fp32")
    report["cpu"] = trained(learner_on(replace(full, device_target="CPU")))
    with OnTheCpu():
        report["npu"] = trained(learner_on(full))
        trusting: Any = learner_on(full)
        trusting.training_step.optimizer.kernel_skips = True
        report["trusting"] = trained(trusting)
    print(json.dumps(report))


if __name__ == "__main__":
    main("saturates" in sys.argv[1:])
