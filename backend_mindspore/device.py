"""Connects the commands to MindSpore: imports it, and chooses device and precision."""

import glob
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from segformer_core.config.keys import RuntimeConfig
from segformer_core.errors import BackendError, install
from segformer_core.protocol.launch import chosen_device
from segformer_core.protocol.learner import ALONE, Backend, Precision, resident_peak

ASCEND_DEVICES = "/dev/davinci[0-9]*"

ISA, AVX2 = "ONEDNN_MAX_CPU_ISA", "AVX2"
"""The variable that limits oneDNN's instructions, and the limit below AVX-512."""

PROCESSORS = Path("/proc/cpuinfo")
"""Where Linux names the processors' instructions."""

AVX512 = "avx512bw"
"""How it names those that oneDNN asks for; every processor that has them has the other parts, too."""


def connect(runtime: RuntimeConfig) -> Backend:
    """The MindSpore backend on the device and in the mode that `runtime` names. Raises BackendError."""
    target = device_target(runtime, has_ascend=bool(glob.glob(ASCEND_DEVICES)))
    precision = precisions(runtime, target)
    prepare(target)
    try:
        import mindspore as ms
    except ModuleNotFoundError as error:
        raise BackendError(f"MindSpore is not installed: {install('mindspore')}") from error
    from backend_mindspore.distributed import join, launched, local_rank
    from backend_mindspore.exported import EXPORTS
    from backend_mindspore.kernels import first_ascend, no_fused_attention
    from backend_mindspore.learner import Learner
    from backend_mindspore.loader import batches

    if runtime.run_distribute and not launched():
        raise BackendError("run_distribute is True but this process is alone; start it with msrun --worker_num=N -m …")
    ms.set_context(mode=ms.GRAPH_MODE if runtime.execution_mode == "graph" else ms.PYNATIVE_MODE)
    id_, chosen = device_number(runtime, target, local_rank() if launched() else None)
    if target == "Ascend":
        ms.set_device(target, id_)
        first = first_ascend()
        keep_types(ms.device_context.ascend.op_precision, precision, first)
        if first:  # CANN's graph engine, MindSpore's choice there before 2.9, lacks operators that MindSpore's kernels have
            ms.set_context(jit_config={"jit_level": "O0"})
    elif ms.get_context("device_target") != target:  # once a kernel has run, MindSpore 2.7 refuses even the same device
        ms.set_device(target)
    processes = join(target) if launched() else ALONE
    return Backend(
        "mindspore",
        target,
        precision,
        lambda spec, config, log, training=None, fused=True: Learner(spec, config, training, precision, log, fused),
        batches,
        EXPORTS,
        processes,
        ms.runtime.max_memory_allocated if target == "Ascend" else resident_peak,
        id_,
        chosen,
        no_fused_attention(),
    )


def device_number(runtime: RuntimeConfig, target: str, rank: int | None) -> tuple[int, str]:
    """Which of the Ascend devices is used, and who chose it: `rank`, the place among the host's processes, or the user."""
    if target == "CPU":
        return 0, ""
    return (rank, "") if rank is not None else chosen_device(runtime.device_id)


def precisions(runtime: RuntimeConfig, target: str) -> Precision:
    """In training fp16 on an Ascend, fp32 on a CPU; inference in fp32 unless told otherwise. Raises BackendError."""
    if runtime.precision == "bf16" and target == "CPU":
        raise BackendError("MindSpore has no bf16 kernels for a CPU; use precision fp32 or fp16, or backend_torch")
    if runtime.precision != "auto":
        return Precision(runtime.precision, runtime.precision)
    return Precision("fp32", "fp16" if target == "Ascend" else "fp32")


def device_target(runtime: RuntimeConfig, has_ascend: bool) -> str:
    """`CPU` or `Ascend` for device_target auto, CPU or Ascend."""
    target = runtime.device_target.lower()
    if target in ("gpu", "cuda"):
        raise BackendError("backend_mindspore runs on Ascend or CPU; for an NVIDIA GPU use backend_torch")
    if target == "ascend" and not has_ascend:
        raise BackendError(f"device_target Ascend but there is no Ascend device ({ASCEND_DEVICES}); use device_target CPU")
    return "CPU" if target == "cpu" or not has_ascend else "Ascend"


def keep_types(op_precision: Any, precision: Precision, first: bool) -> None:
    """fp32 means fp32 on an Ascend, as far as it goes; `op_precision` is MindSpore's module. What the program has set stays.

    CANN computes fp32 convolutions in HF32 unless it is told not to: that keeps ten bits of their inputs, as TF32 does. The first
    Ascend multiplies fp16 alone: there fp32 products are rounded to it, and an order to keep types would be an error. All other
    operators keep fp32, which MindSpore before 2.10 would lower, too.
    """
    modes: dict[str, Any] = {}
    if first:
        modes = {"precision_mode": "allow_fp32_to_fp16"}
    elif "fp32" in (precision.inference, precision.training):
        modes = {"conv_allow_hf32": False, "matmul_allow_hf32": False}
    for name, value in modes.items():
        with suppress(RuntimeError):  # MindSpore takes each once
            getattr(op_precision, name)(value)


def prepare(target: str, processors: Path = PROCESSORS) -> None:
    """Set what MindSpore reads from the environment when it loads; what the user has set stays.

    With AVX-512 convolutions are computed as products (`kernels.convolution_as_products`). Without, oneDNN's own are the faster.
    """
    if target == "CPU" and not (processors.is_file() and AVX512 in processors.read_text(encoding="utf-8")):
        keep_convolutions()


def keep_convolutions() -> None:
    """MindSpore's operator computes convolutions in this process, and oneDNN stays below AVX-512, where it is slow.

    It has an effect before the first graph is made, and none where the user has said otherwise.
    """
    os.environ.setdefault(ISA, AVX2)
