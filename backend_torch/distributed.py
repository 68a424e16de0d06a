"""Several processes that train one network, as torchrun starts them; `backend_mindspore/distributed.py` is its twin."""

import gc
import os
import warnings
from datetime import timedelta
from importlib import import_module
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from segformer_core.protocol.launch import Group, joining, variable, whole_number
from segformer_core.protocol.learner import COLLECTIVE_TIMEOUT_SECONDS, Processes

LIBRARIES = {"cpu": "gloo", "cuda": "nccl", "npu": "hccl"}
"""Device -> the library by which its processes exchange data."""


def launched() -> bool:
    """Whether this process was started by torchrun or the like."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def local_rank() -> int:
    """The index of this process on its host, which is also the index of its device. Raises BackendError."""
    name = "LOCAL_RANK" if "LOCAL_RANK" in os.environ else "RANK"
    return whole_number(name, os.environ[name], 0)


def group() -> Group:
    """The processes that the environment names. Raises BackendError for what no launcher says."""
    count = whole_number("WORLD_SIZE", os.environ["WORLD_SIZE"], 1)
    rank = whole_number("RANK", os.environ["RANK"], 0, count - 1)
    host, port = variable("MASTER_ADDR", "RANK"), whole_number("MASTER_PORT", variable("MASTER_PORT", "RANK"), 1, 65535)
    return Group(rank, count, f"{host}:{port}", "RANK")


def join(device: torch.device) -> Processes:
    """Connect to the other processes. Raises BackendError if they do not connect in time."""
    if not dist.is_initialized():
        import_module("torch.distributed.nn")  # imported later, by PyTorch, its functions keep the group for ever
        with joining(group()):
            dist.init_process_group(LIBRARIES[device.type], timeout=timedelta(seconds=COLLECTIVE_TIMEOUT_SECONDS))
        # PyTorch warns of a kernel with one channel, whose two layouts are the same.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")

    def all_reduce(array: np.ndarray) -> np.ndarray:
        array = np.array(array)
        sent = array.astype(np.float32) if device.type == "npu" and array.dtype == np.float64 else array  # HCCL has no float64
        tensor = torch.from_numpy(sent).to(device)
        dist.all_reduce(tensor)
        return tensor.cpu().numpy().astype(array.dtype)

    def leave() -> None:
        dist.destroy_process_group()
        gc.collect()  # DistributedDataParallel, in a circle of references, keeps gloo's threads alive; at exit one may abort

    return Processes(dist.get_rank(), dist.get_world_size(), all_reduce, leave)


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum of `x` over all processes; its gradient is summed in the same way."""
    return Sum.apply(x) if world_size() > 1 else x


def count_over_processes(x: Tensor) -> Tensor:
    """How many elements of a boolean tensor are true, over all processes."""
    return sum_over_processes(torch.count_nonzero(x))


class Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return Sum.forward(ctx, gradient)
