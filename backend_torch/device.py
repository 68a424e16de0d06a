"""Connects the commands to PyTorch: imports it, and chooses device and precision."""

import os
from typing import Any

from segformer_core.config.keys import RuntimeConfig
from segformer_core.errors import BackendError, brief, install
from segformer_core.protocol.launch import chosen_device
from segformer_core.protocol.learner import ALONE, Backend, Precision, resident_peak


def connect(runtime: RuntimeConfig) -> Backend:
    """The PyTorch backend on the device that `runtime` names. Raises BackendError."""
    prepare()
    try:
        import torch
    except ModuleNotFoundError as error:
        raise BackendError(f"PyTorch is not installed: {install('torch')}") from error
    from backend_torch.distributed import join, launched, local_rank
    from backend_torch.exported import EXPORTS
    from backend_torch.learner import Learner
    from backend_torch.loader import batches

    if runtime.run_distribute and not launched():
        raise BackendError("run_distribute is True but this process is alone; start it with torchrun --nproc_per_node N -m …")
    ascend = runtime.device_target.lower() == "ascend"
    cards: Any = ascend_cards() if ascend else torch.cuda
    id_, chosen = device_number(runtime, cards.device_count(), local_rank() if launched() else None)
    device = torch.device(device_target(runtime, cards.device_count(), id_, chosen))
    if device.type != "cpu":
        cards.set_device(device)
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32: TF32 keeps ten bits of a convolution's inputs
    if ascend:
        cards.conv.allow_hf32 = cards.matmul.allow_hf32 = False  # HF32 likewise; convolutions have it by default
        precision = ascend_precisions(runtime, cards.utils.is_support_inf_nan())
    else:
        precision = precisions(runtime, device.type == "cuda", device.type == "cuda" and torch.cuda.is_bf16_supported())
    processes = join(device) if launched() else ALONE
    return Backend(
        "torch",
        str(device),
        precision,
        lambda spec, config, log, training=None, fused=True: Learner(spec, config, training, precision, device, log, fused),
        batches,
        EXPORTS,
        processes,
        resident_peak if device.type == "cpu" else cards.max_memory_allocated,
        id_,
        chosen,
        compiles_later=True,
    )


def ascend_cards() -> Any:
    """torch_npu's counterpart of `torch.cuda`. Raises BackendError."""
    try:
        import torch_npu
    except ImportError as error:
        import torch

        raise BackendError(
            f"device_target Ascend needs torch_npu, which does not load ({brief(str(error))}); install the torch-npu for PyTorch "
            f"{torch.__version__} and this host's CANN, or use backend_mindspore"
        ) from error
    return torch_npu.npu


def device_number(runtime: RuntimeConfig, devices: int, rank: int | None) -> tuple[int, str]:
    """Which of several devices is used, and who chose it: `rank`, the place among the host's processes, or the user."""
    if device_target(runtime, devices, 0) == "cpu":
        return 0, ""
    return (rank, "") if rank is not None else chosen_device(runtime.device_id)


def device_target(runtime: RuntimeConfig, devices: int, device_id: int, chosen: str = "") -> str:
    """`cpu`, `cuda:N` or `npu:N` for device_target auto, CPU, GPU, CUDA or Ascend. Raises BackendError."""
    target = runtime.device_target.lower()
    kind, seen_by, name = ("Ascend", "torch_npu", "npu") if target == "ascend" else ("CUDA", "PyTorch", "cuda")
    if target in ("gpu", "cuda", "ascend") and not devices:
        raise BackendError(f"device_target {runtime.device_target} but {seen_by} sees no {kind} device; use device_target CPU")
    if target == "cpu" or not devices:
        return "cpu"
    if device_id >= devices:
        raise BackendError(
            f"{kind} device {device_id} is asked for{chosen and f', {chosen},'} and there are {devices}; start fewer "
            "processes, or set device_id"
        )
    return f"{name}:{device_id}"


def precisions(runtime: RuntimeConfig, on_cuda: bool, has_bf16: bool) -> Precision:
    """In training bf16 on CUDA where it has it, else fp16 there, fp32 on a CPU; inference in fp32 unless told otherwise."""
    if runtime.precision != "auto":
        return Precision(runtime.precision, runtime.precision)
    return Precision("fp32", ("bf16" if has_bf16 else "fp16") if on_cuda else "fp32")


def ascend_precisions(runtime: RuntimeConfig, has_infinity: bool) -> Precision:
    """fp16 in training, as backend_mindspore has it, so that both can be compared; fp32 if fp16's overflow would not be seen.

    A card without infinity (the first Ascend 910) makes an overflow its largest number. Raises BackendError.
    """
    if has_infinity:
        return precisions(runtime, on_cuda=True, has_bf16=False)
    if runtime.precision in ("fp16", "bf16"):
        raise BackendError(
            f"precision {runtime.precision} on a card that saturates: an overflow would not be seen; use precision fp32 or "
            "backend_mindspore (on an Atlas A2 or A3 unset INF_NAN_MODE_ENABLE)"
        )
    return Precision()


def prepare() -> None:
    """Set what PyTorch reads from the environment with its first tensor; what the user has set stays.

    A feature map is some ten MB of new memory, which Linux hands out in pages of 4 KB unless it is asked for pages of 2 MB. On
    a virtual machine the small ones took a quarter of B0's time. The numbers are the same.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
