"""Several processes that train one network, as msrun or a rank table starts them; `backend_torch/distributed.py` is its twin."""

import os

import mindspore as ms
import numpy as np
from mindspore import Tensor, communication, nn, ops

from segformer_core.protocol.learner import COLLECTIVE_TIMEOUT_SECONDS, Processes

STATE = {"count": 1}
"""The number of processes that have joined. Graphs are built for this number."""

LIMB_BITS, LIMBS = 12, 5
"""A CPU's AllReduce adds float32 only, so an integer is sent as limbs. The sum is exact for 60 bits and 4,096 processes."""


def launched() -> bool:
    """Whether this process was started by msrun, or with a rank table."""
    return "MS_ROLE" in os.environ or ("RANK_TABLE_FILE" in os.environ and int(os.environ.get("RANK_SIZE", "1")) > 1)


def local_rank() -> int:
    """The index of this process on its host, which is also the index of its device."""
    return int(os.environ.get("DEVICE_ID", os.environ.get("MS_NODE_ID", "0")))


def join() -> Processes:
    """Connect to the other processes. Raises RuntimeError if they do not connect in time."""
    os.environ.setdefault("HCCL_CONNECT_TIMEOUT", str(COLLECTIVE_TIMEOUT_SECONDS))
    os.environ.setdefault("HCCL_EXEC_TIMEOUT", str(COLLECTIVE_TIMEOUT_SECONDS))
    communication.init()
    STATE["count"] = communication.get_group_size()
    ms.set_auto_parallel_context(parallel_mode=ms.ParallelMode.DATA_PARALLEL, gradients_mean=True)
    summed = Sum()

    def all_reduce(array: np.ndarray) -> np.ndarray:
        array = np.asarray(array)
        if array.dtype.kind == "f":
            return summed(Tensor(array.astype(np.float32))).asnumpy().astype(array.dtype)
        limbs = [(array >> LIMB_BITS * limb) & ((1 << LIMB_BITS) - 1) for limb in range(LIMBS)]
        sums = summed(Tensor(np.stack(limbs).astype(np.float32))).asnumpy().astype(np.int64)
        return sum(sums[limb] << LIMB_BITS * limb for limb in range(LIMBS))

    return Processes(communication.get_rank(), STATE["count"], all_reduce, communication.release)


def world_size() -> int:
    return STATE["count"]


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum of `x` over all processes; its gradient is summed in the same way."""
    return ops.AllReduce()(x) if world_size() > 1 else x


class Sum(nn.Cell):
    def __init__(self):
        super().__init__()
        self.all_reduce = ops.AllReduce()

    def construct(self, x: Tensor) -> Tensor:
        return self.all_reduce(x)
