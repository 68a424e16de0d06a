"""Several processes that train one network, as msrun or a rank table starts them; `backend_torch/distributed.py` is its twin."""

import os

import mindspore as ms
import numpy as np
from mindspore import Tensor, communication, nn, ops

from segformer_core.errors import BackendError, brief
from segformer_core.protocol.launch import Group, joining, variable, whole_number
from segformer_core.protocol.learner import COLLECTIVE_TIMEOUT_SECONDS, Processes

STATE = {"count": 1}
"""The number of processes that have joined. Graphs are built for this number."""

TABLE, ROLES = "RANK_TABLE_FILE", ("MS_WORKER", "MS_SCHED")

LIMB_BITS, LIMBS = 12, 5
"""A CPU's AllReduce adds float32 only, so an integer is sent as limbs. The sum is exact for 60 bits and 4,096 processes."""


def launched() -> bool:
    """Whether this process was started by msrun, or with a rank table. Raises BackendError."""
    if "MS_ROLE" in os.environ:
        return True
    return TABLE in os.environ and whole_number("RANK_SIZE", os.environ.get("RANK_SIZE", "1"), 1) > 1


def local_rank() -> int:
    """The index of this process on its host, which is also the index of its device. Raises BackendError."""
    name = "DEVICE_ID" if "DEVICE_ID" in os.environ else "MS_NODE_ID"
    return whole_number(name, os.environ.get(name, "0"), 0)


def group(target: str) -> Group:
    """The processes that the environment names. Raises BackendError for what no launcher says, or `target` does not serve."""
    if "MS_ROLE" in os.environ:
        if (role := os.environ["MS_ROLE"]) not in ROLES:
            raise BackendError(
                f"the environment variable MS_ROLE is {brief(role)}; expected {' or '.join(ROLES)}; unset it to run alone"
            )
        count = whole_number("MS_WORKER_NUM", variable("MS_WORKER_NUM", "MS_ROLE"), 1)
        host, port = variable("MS_SCHED_HOST", "MS_ROLE"), variable("MS_SCHED_PORT", "MS_ROLE")
        rank = whole_number("MS_NODE_ID", os.environ.get("MS_NODE_ID", "0"), 0)
        return Group(rank, count, f"{host}:{whole_number('MS_SCHED_PORT', port, 1, 65535)}", "MS_ROLE")
    table, count = os.environ[TABLE], whole_number("RANK_SIZE", os.environ["RANK_SIZE"], 1)
    if target != "Ascend":
        raise BackendError(
            f"{TABLE} is set, for {count} Ascend devices, and this process runs on a {target}; unset it to run alone, or start "
            "with msrun, which serves a CPU too"
        )
    if not os.path.isfile(table):
        raise BackendError(f"{TABLE} names {brief(table)}, which is no file; make one with tools/make_rank_table.py, or unset it")
    return Group(whole_number("RANK_ID", variable("RANK_ID", TABLE), 0, count - 1), count, f"the addresses in {table}", TABLE)


def join(target: str) -> Processes:
    """Connect to the other processes. Raises BackendError if they do not connect in time."""
    for name in ("HCCL_CONNECT_TIMEOUT", "HCCL_EXEC_TIMEOUT", "MS_TOPO_TIMEOUT"):
        os.environ.setdefault(name, str(COLLECTIVE_TIMEOUT_SECONDS))
    with joining(group(target)):
        communication.init()
    STATE["count"] = communication.get_group_size()
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


def count_over_processes(x: Tensor) -> Tensor:
    """How many elements of a boolean (B, H, W) tensor are true, over all processes: int32, exact below 2³¹."""
    rows = ops.ReduceSum()(ops.Cast()(x, ms.float32), -1)  # exact, and faster than int32
    count = ops.ReduceSum()(ops.Cast()(rows, ms.int32))
    if world_size() == 1:
        return count
    high = count // (1 << LIMB_BITS)
    limbs = ops.stack((high, count - high * (1 << LIMB_BITS)))
    sums = ops.Cast()(sum_over_processes(ops.Cast()(limbs, ms.float32)), ms.int32)
    return sums[0] * (1 << LIMB_BITS) + sums[1]


class Sum(nn.Cell):
    def __init__(self):
        super().__init__()
        self.all_reduce = ops.AllReduce()

    def construct(self, x: Tensor) -> Tensor:
        return self.all_reduce(x)
