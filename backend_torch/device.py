"""Connects the commands to PyTorch: imports it, and chooses device and precision."""

from segformer_core.config.keys import RuntimeConfig
from segformer_core.errors import BackendError, install
from segformer_core.protocol.launch import chosen_device
from segformer_core.protocol.learner import ALONE, Backend, Precision, resident_peak


def connect(runtime: RuntimeConfig) -> Backend:
    """The PyTorch backend on the device that `runtime` names. Raises BackendError."""
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
    id_, chosen = device_number(runtime, torch.cuda.device_count(), local_rank() if launched() else None)
    device = torch.device(device_target(runtime, torch.cuda.device_count(), id_, chosen))
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32: TF32 keeps ten bits of a convolution's inputs
    precision = precisions(runtime, device.type == "cuda", device.type == "cuda" and torch.cuda.is_bf16_supported())
    processes = join(device) if launched() else ALONE
    return Backend(
        "torch",
        str(device),
        precision,
        lambda spec, config, log, training=None: Learner(spec, config, training, precision, device),
        batches,
        EXPORTS,
        processes,
        torch.cuda.max_memory_allocated if device.type == "cuda" else resident_peak,
        id_,
        chosen,
    )


def device_number(runtime: RuntimeConfig, devices: int, rank: int | None) -> tuple[int, str]:
    """Which of the CUDA devices is used, and who chose it: `rank`, the place among the host's processes, or the user."""
    if device_target(runtime, devices, 0) == "cpu":
        return 0, ""
    return (rank, "") if rank is not None else chosen_device(runtime.device_id)


def device_target(runtime: RuntimeConfig, cuda_devices: int, device_id: int, chosen: str = "") -> str:
    """`cpu` or `cuda:N` for device_target auto, CPU, GPU or CUDA. Raises BackendError."""
    target = runtime.device_target.lower()
    if target == "ascend":
        raise BackendError("device_target Ascend belongs to backend_mindspore; backend_torch runs on CPU or CUDA")
    if target in ("gpu", "cuda") and not cuda_devices:
        raise BackendError(f"device_target {runtime.device_target} but PyTorch sees no CUDA device; use device_target CPU")
    if target == "cpu" or not cuda_devices:
        return "cpu"
    if device_id >= cuda_devices:
        raise BackendError(
            f"CUDA device {device_id} is asked for{chosen and f', {chosen},'} and there are {cuda_devices}; start fewer "
            "processes, or set device_id"
        )
    return f"cuda:{device_id}"


def precisions(runtime: RuntimeConfig, on_cuda: bool, has_bf16: bool) -> Precision:
    """In training bf16 on CUDA where it has it, else fp16 there, fp32 on a CPU; inference in fp32 unless told otherwise."""
    if runtime.precision != "auto":
        return Precision(runtime.precision, runtime.precision)
    return Precision("fp32", ("bf16" if has_bf16 else "fp16") if on_cuda else "fp32")
