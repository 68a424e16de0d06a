"""How a step learns that a product overflowed: from its gradients, or from the status of a device that saturates."""

import os

import mindspore as ms
from mindspore import Parameter, Tensor, amp, nn, ops

from backend_mindspore.distributed import sum_over_processes
from backend_mindspore.kernels import first_ascend, on

SATURATION = "SATURATION_MODE"
"""The value of MS_ASCEND_CHECK_OVERFLOW_MODE with which MindSpore lets a later Ascend saturate, too."""


def saturates() -> bool:
    """Whether an infinite result becomes the largest number on this device, and NaN 0, so that no gradient tells of an overflow.

    An Ascend of the first generation knows nothing else; A2 and A3 do so if they are told to.
    """
    return first_ascend() or (on("Ascend") and os.environ.get("MS_ASCEND_CHECK_OVERFLOW_MODE") == SATURATION)


def detection() -> str:
    """How an overflow is seen on this device, for the log."""
    return "the status of the device, which saturates" if saturates() else "the norm of the gradients"


class DeviceStatus(nn.Cell):
    """The overflows that a saturating device noted during a step. `amp.all_finite` reads its status, and clears it.

    The status holds what happened since it was cleared, whatever the gradients are, so a step clears it first: an evaluation
    between two steps may have left an overflow behind.
    """

    def __init__(self):
        super().__init__()
        self.noted = Parameter(Tensor(0, ms.float32), name="noted_overflows", requires_grad=False)

    def cleared(self, images: Tensor) -> Tensor:
        """The images; the status is cleared before anything is computed from them."""
        return ops.depend(images, amp.all_finite((images,)))

    def note(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Keep for `finite` what was noted until these gradients were there: those of one part of a batch in several parts."""
        return ops.AssignAdd()(self.noted, self._overflows(gradients))

    def finite(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Whether nothing overflowed, in no part and in no process; the next step starts anew."""
        overflows = self._overflows(gradients) + self.noted
        finite = sum_over_processes(overflows) == 0
        return ops.depend(finite, ops.Assign()(self.noted, ops.zeros_like(overflows)))

    def _overflows(self, gradients: tuple[Tensor, ...]) -> Tensor:
        return ops.Cast()(ops.logical_not(amp.all_finite(gradients)), ms.float32)
