"""What a compiled graph costs on an Ascend, counted: kernels, bytes, matrix FLOPs, live memory, and a lower bound of its time.

One kernel for each operator that computes or copies. CANN may split one into several or fuse several into one; no bytes are
counted for what a kernel keeps in the chip's own memory.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import prod
from typing import NamedTuple

from parity_tests.ascend.graph_text import Node

VIEWS = {"Reshape", "ExpandDims", "Squeeze", "Load", "Depend", "UpdateState", "MakeTuple", "make_list", "TupleGetItem"}
"""Operators that give what they take: another shape, one of several, or nothing but an order."""

IN_PLACE = {"Assign", "AssignAdd", "AssignSub", "Adam", "AdamW", "ApplyAdam"}
"""Operators that write into the parameters that they take, and give these."""

CHANGES_A_PARAMETER = {"BatchNorm"}
"""Operators that write into a parameter besides, and give new arrays."""


READS_WHAT_IT_GIVES = {"StridedSlice", "Slice"}
"""Operators that read of what they take only as much as they give."""


def _product(node: Node) -> int:
    """2 · elements of the result · length of the sum."""
    a = node.takes[0][0].shape
    return 2 * node.gives[0].size * (a[-2] if node.flag(2) else a[-1])


def _convolution(node: Node) -> int:
    """2 · elements of the result · (channels of a group · kernel's height · width), as the weight's shape has them."""
    return 2 * node.gives[0].size * prod(node.takes[1][0].shape[1:])


def _convolution_to_input(node: Node) -> int:
    return 2 * node.takes[0][0].size * prod(node.takes[1][0].shape[1:])


def _convolution_to_filter(node: Node) -> int:
    return 2 * node.takes[0][0].size * prod(node.gives[0].shape[1:])


def _attention(products: int) -> Callable[[Node], int]:
    """That many matrix products of N × M × d for each head: (B, heads, N, d) queries and (B, heads, M, d) keys."""

    def flops(node: Node) -> int:
        return products * 2 * node.takes[0][0].size * node.takes[1][0].shape[2]

    return flops


MATRIX: dict[str, Callable[[Node], int]] = {
    "MatMul": _product,
    "BatchMatMul": _product,
    "MatMulExt": _product,
    "BatchMatMulExt": _product,
    "Conv2D": _convolution,
    "Conv2DBackpropInput": _convolution_to_input,
    "Conv2DBackpropFilter": _convolution_to_filter,
    "FlashAttentionScore": _attention(2),
    "FlashAttentionScoreGrad": _attention(5),  # the scores again, and the gradients of values, probabilities, queries and keys
}
"""The operators of the cube unit, and their FLOPs. All others are the vector unit's."""

MATRIX_WORDS = ("MatMul", "Conv", "Attention", "Dense", "Linear")


class Card(NamedTuple):
    """Its vendor's published peaks: FLOP/s of fp16 matrix products, and bytes/s of its memory."""

    flops: float
    bandwidth: float

    def seconds(self, flops: int, moved: int) -> float:
        """No kernel can be faster: it is limited by its products or by its bytes."""
        return max(flops / self.flops, moved / self.bandwidth)


CARDS = {"910": Card(256e12, 1.2e12), "910B": Card(376e12, 1.6e12)}


class Kernel(NamedTuple):
    operator: str
    flops: int
    moved: int
    """Bytes that it takes and gives."""

    @property
    def on_cube(self) -> bool:
        return self.operator in MATRIX


class Costs(NamedTuple):
    kernels: tuple[Kernel, ...]
    peak: int
    """Bytes: the most that kernels' results occupy at once, in the graph's order. Weights and inputs are not among them."""

    @property
    def flops(self) -> int:
        return sum(kernel.flops for kernel in self.kernels)

    @property
    def moved(self) -> int:
        return sum(kernel.moved for kernel in self.kernels)

    def on_cube(self) -> tuple[Kernel, ...]:
        return tuple(kernel for kernel in self.kernels if kernel.on_cube)

    def seconds(self, card: Card, kernels: Iterable[Kernel] | None = None) -> float:
        """The lower bound of one run: kernel by kernel, one after the other."""
        return sum(card.seconds(kernel.flops, kernel.moved) for kernel in (self.kernels if kernels is None else kernels))

    def by_operator(self) -> list[tuple[str, int, int, int]]:
        """(operator, kernels, FLOPs, bytes), the most bytes first."""
        count, flops, moved = Counter[str](), Counter[str](), Counter[str]()
        for kernel in self.kernels:
            count[kernel.operator] += 1
            flops[kernel.operator] += kernel.flops
            moved[kernel.operator] += kernel.moved
        return [(operator, count[operator], flops[operator], bytes_) for operator, bytes_ in moved.most_common()]


def costs(nodes: Iterable[Node], returned: Iterable[str]) -> Costs:
    nodes = list(nodes)
    return Costs(tuple(_kernel(node) for node in nodes if node.operator not in VIEWS), _peak(nodes, returned))


def _kernel(node: Node) -> Kernel:
    operator = node.operator
    assert operator in MATRIX or not any(word in operator for word in MATRIX_WORDS), f"{operator} is not in MATRIX"
    taken = (node.gives,) if operator in READS_WHAT_IT_GIVES else node.takes
    moved = sum(tensor.bytes for tensors in (*taken, node.gives) for tensor in tensors)
    return Kernel(operator, MATRIX[operator](node) if operator in MATRIX else 0, moved)


Value = tuple[tuple[int, ...], ...]
"""The results, by number, that each part of a node's value needs. A tensor is one part, a tuple several; parameters need none."""


def _peak(nodes: list[Node], returned: Iterable[str]) -> int:
    """The largest sum of results that are still needed; each is freed after the last kernel that takes it."""
    values: dict[str, Value] = {}
    sizes: list[int] = []
    last: list[int] = []
    made: list[range] = []
    for place, node in enumerate(nodes):
        taken = [values.get(argument, ((),)) for argument in node.arguments]
        first = len(sizes)
        if node.operator in VIEWS:
            values[node.name] = _view(node, taken)
        elif node.operator in IN_PLACE:
            values[node.name] = ((),) * len(node.gives)
        else:
            assert "side_effect_mem: Bool(1)" not in node.attributes or node.operator in CHANGES_A_PARAMETER, node.operator
            sizes += [tensor.bytes for tensor in node.gives]
            last += [place] * len(node.gives)
            values[node.name] = tuple((result,) for result in range(first, len(sizes)))
        made.append(range(first, len(sizes)))
        if node.operator not in VIEWS:
            for result in _each(taken):
                last[result] = place
    for result in _each(values.get(name, ((),)) for name in returned):
        last[result] = len(nodes)
    ends: dict[int, list[int]] = {}
    for result, place in enumerate(last):
        ends.setdefault(place, []).append(result)
    live = peak = 0
    for place in range(len(nodes)):
        live += sum(sizes[result] for result in made[place])
        peak = max(peak, live)
        live -= sum(sizes[result] for result in ends.get(place, ()))
    return peak


def _view(node: Node, taken: list[Value]) -> Value:
    if node.operator in ("MakeTuple", "make_list"):
        return tuple(tuple(_each([value])) for value in taken)
    if node.operator == "TupleGetItem":
        index = int(node.arguments[1].removeprefix("I64(").removesuffix(")"))
        return taken[0][index : index + 1]
    return taken[0] if taken and node.operator != "UpdateState" else ((),)


def _each(values: Iterable[Value]) -> Iterator[int]:
    return (result for value in values for part in value for result in part)
