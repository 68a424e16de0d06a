"""Where PyTorch is imported for the commands, and which device it runs on."""

from segformer_core.config import RuntimeConfig
from segformer_core.errors import BackendError
from segformer_core.learner import Backend


def connect(runtime: RuntimeConfig) -> Backend:
    """The PyTorch backend on the device that `runtime` names. Raises BackendError."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise BackendError("PyTorch is not installed: run pip install '.[torch]' in the project's folder") from error
    from backend_torch.learner import Learner
    from backend_torch.loader import batches

    device = torch.device(device_name(runtime, torch.cuda.is_available()))
    return Backend("torch", str(device), lambda spec, config: Learner(spec, config, device), batches)


def device_name(runtime: RuntimeConfig, has_cuda: bool) -> str:
    """`cpu` or `cuda:N` for device_target auto, CPU, GPU or CUDA."""
    target = runtime.device_target.lower()
    if target == "ascend":
        raise BackendError("device_target Ascend belongs to backend_mindspore; backend_torch runs on CPU or CUDA")
    if target in ("gpu", "cuda") and not has_cuda:
        raise BackendError(f"device_target {runtime.device_target} but PyTorch sees no CUDA device; use device_target CPU")
    return "cpu" if target == "cpu" or not has_cuda else f"cuda:{runtime.device_id}"
