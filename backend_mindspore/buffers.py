"""Arrays of one parameter group side by side in a buffer, so that one kernel updates many of them.

A kernel that updates one array of a few hundred numbers takes less time than it takes to start it.
"""

from collections.abc import Sequence

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops

from backend_mindspore.kernels import Split

MOST_ARRAYS = 32
"""In one buffer. CANN's concatenation takes no longer list (`aclnnCat`)."""


class Buffers(nn.Cell):
    """Buffers of at most MOST_ARRAYS of the parameters each; none has parameters of two groups.

    `group_bounds`: of each group its first parameter, and the one after its last. `bounds` has the same for the buffers' groups.
    """

    def __init__(self, parameters: ms.ParameterTuple, group_bounds: Sequence[tuple[int, int]]):
        super().__init__()
        self.arrays_of: list[tuple[int, int]] = []
        self.bounds: list[tuple[int, int]] = []
        for start, end in group_bounds:
            before = len(self.arrays_of)
            self.arrays_of += [(first, min(first + MOST_ARRAYS, end)) for first in range(start, end, MOST_ARRAYS)]
            self.bounds.append((before, len(self.arrays_of)))
        self.sizes = [parameter.size for parameter in parameters]
        self.shapes = [parameter.shape for parameter in parameters]
        self.splits = nn.CellList([Split(self.sizes[start:end]) for start, end in self.arrays_of])
        sizes = [sum(self.sizes[start:end]) for start, end in self.arrays_of]
        self.contents = ms.ParameterTuple(
            [
                Parameter(ops.zeros((size,), dtype=ms.float32), name=f"buffer{index}", requires_grad=False)
                for index, size in enumerate(sizes)
            ]
        )
        self.map = ops.HyperMap()

    def gathered(self, arrays: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Arrays in the parameters' order and shapes -> one in each buffer's shape."""
        buffers: tuple[Tensor, ...] = ()
        for start, end in self.arrays_of:
            buffers += (ops.concat(self.map(flat, arrays[start:end])),)
        return buffers

    def spread(self, done: Tensor, parameters: Sequence[Parameter], buffers: Sequence[Tensor]) -> Tensor:
        """The parameters take over what the buffers have, after `done`."""
        for index, (start, end) in enumerate(self.arrays_of):
            parts = self.splits[index](buffers[index])
            done = ops.depend(done, self.map(take_over, parameters[start:end], parts))
        return done

    def apart(self, buffers: Sequence[Parameter]) -> list[Tensor]:
        """Buffers' contents as arrays in the parameters' order and shapes; outside of a graph."""
        arrays = []
        for buffer, (start, end) in zip(buffers, self.arrays_of, strict=True):
            content, first = buffer.asnumpy(), 0
            for size, shape in zip(self.sizes[start:end], self.shapes[start:end], strict=True):
                arrays.append(Tensor(content[first : first + size].reshape(shape)))
                first += size
        return arrays


flat, take_over = ops.MultitypeFuncGraph("flat"), ops.MultitypeFuncGraph("take_over")


@flat.register("Tensor")
def _(array):
    return ops.reshape(array, (-1,))


@take_over.register("Tensor", "Tensor")
def _(parameter, part):
    return ops.Assign()(parameter, ops.reshape(part, parameter.shape))
