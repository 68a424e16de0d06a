"""The counter of the cost sheet: by hand on written graphs, against formulas on B0, and against the page."""

import re
from importlib.metadata import version

import pytest

from parity_tests import ROOT
from parity_tests.ascend.cost_forms import INFERENCE, KINDS, TRAINING, USUAL, counted
from parity_tests.ascend.cost_sheet import COMPARED, ORIGINAL_MS, page, row
from parity_tests.ascend.costs import CARDS, Card, Costs, Kernel, costs
from parity_tests.ascend.graph_text import Tensor, read
from parity_tests.conftest import need
from parity_tests.training_runs import FULL
from segformer_core.spec.model import VARIANTS

PATH = ROOT / "docs/ascend_costs.md"
OLDER = "docs/ascend_costs.md is older than the graph: its command is on the page"


Statement = tuple[str, str, str]
"""A call, the types that it takes and those that it gives."""


def graph(*statements: Statement) -> str:
    """A graph's text, as MindSpore writes it."""
    lines = [f"  {call}\n      : ({takes}) -> ({gives})" for call, takes, gives in statements]
    return "\n".join([*lines, f"Total number of cnodes: {len(statements)}", ""])


def half(*shape: int) -> str:
    return f"<Tensor[Float16], ({', '.join(map(str, shape))})>"


def full(*shape: int) -> str:
    return half(*shape).replace("16", "32", 1)


RETURN = ("Return(%9)", half(1), "")
MATRIX = {
    "MatMul, second transposed": (
        "PrimFunc_MatMul(%para1_a, %para2_b, Bool(0), Bool(1))",
        f"{half(6, 4)}, {half(10, 4)}, <Bool, NoShape>",
        half(6, 10),
        2 * 6 * 10 * 4,
        2 * (24 + 40 + 60),
    ),
    "MatMul, first transposed": (
        "PrimFunc_MatMul(%para1_a, %para2_b, Bool(1), Bool(0))",
        f"{half(4, 6)}, {half(4, 10)}, <Bool, NoShape>",
        half(6, 10),
        2 * 6 * 10 * 4,
        2 * (24 + 40 + 60),
    ),
    "BatchMatMul": (
        "PrimFunc_BatchMatMul(%para1_a, %para2_b, Bool(0), Bool(0))",
        f"{half(3, 6, 4)}, {half(3, 4, 5)}",
        half(3, 6, 5),
        3 * 2 * 6 * 5 * 4,
        2 * (72 + 60 + 90),
    ),
    "Conv2D, 7×7 of stride 4": (
        "Conv2D(%para1_x, %para2_w) {instance name: c} primitive_attrs: {group: I64(1)}",
        f"{half(2, 3, 64, 72)}, {half(32, 3, 7, 7)}",
        half(2, 32, 16, 18),
        2 * 2 * 16 * 18 * 32 * 3 * 49,
        2 * (2 * 3 * 64 * 72 + 32 * 3 * 49 + 2 * 32 * 16 * 18),
    ),
    "Conv2D, depthwise": (
        "Conv2D(%para1_x, %para2_w)",
        f"{half(1, 8, 5, 6)}, {half(8, 1, 3, 3)}",
        half(1, 8, 5, 6),
        2 * 5 * 6 * 8 * 9,
        2 * (240 + 72 + 240),
    ),
    "the gradient to a convolution's image": (
        "Conv2DBackpropInput(%para1_dy, %para2_w, (I64(1), I64(3)))",
        f"{half(1, 4, 5, 6)}, {half(4, 3, 2, 2)}, <Tuple[Int64*2], TupleShape(NoShape, NoShape)>",
        half(1, 3, 10, 12),
        2 * 5 * 6 * 4 * 3 * 4,
        2 * (120 + 48 + 360),
    ),
    "the gradient to its weight": (
        "Conv2DBackpropFilter(%para1_dy, %para2_x)",
        f"{half(1, 4, 5, 6)}, {half(1, 3, 10, 12)}",
        half(4, 3, 2, 2),
        2 * 5 * 6 * 4 * 3 * 4,
        2 * (120 + 360 + 48),
    ),
    "FlashAttentionScore": (
        "PrimFunc_FlashAttentionScore(%para1_q, %para2_k, %para3_v, None, F32(0.1))",
        f"{half(2, 5, 288, 32)}, {half(2, 5, 4, 32)}, {half(2, 5, 4, 32)}, <None, NoShape>, <Float32, NoShape>",
        "<Tuple[Tensor[Float32]*2,Tensor[Float16]], TupleShape((2, 5, 288, 8), (2, 5, 288, 8), (2, 5, 288, 32))>",
        2 * 5 * (2 * 288 * 4 * 32 + 2 * 288 * 4 * 32),
        2 * (2 * 5 * (288 + 4 + 4) * 32) + 2 * 4 * 2 * 5 * 288 * 8 + 2 * 2 * 5 * 288 * 32,
    ),
    "FlashAttentionScoreGrad": (
        "PrimFunc_FlashAttentionScoreGrad(%para1_q, %para2_k, %para3_v, %para4_dy)",
        ", ".join((half(2, 5, 288, 32), half(2, 5, 4, 32), half(2, 5, 4, 32), half(2, 5, 288, 32))),
        "<Tuple[Tensor[Float16]*4], TupleShape((2, 5, 288, 32), (2, 5, 4, 32), (2, 5, 4, 32), (0))>",
        2 * 5 * 5 * 2 * 288 * 4 * 32,
        2 * (2 * 5 * 32 * (288 + 4 + 4 + 288) + 2 * 5 * 32 * (288 + 4 + 4)),
    ),
}
"""What -> the statement, FLOPs and bytes, both by hand."""


@pytest.mark.parametrize("what", MATRIX)
def test_flops_and_bytes_of_a_matrix_operator(what):
    call, takes, gives, flops, moved = MATRIX[what]
    found = costs(*read(graph((f"%9(x) = {call}", takes, gives), RETURN)))
    assert (found.flops, found.moved) == (flops, moved)
    assert found.on_cube() == found.kernels and len(found.kernels) == 1


KB = 1024
PARAMETER = "<Ref[Tensor[Float32]], (256), ref_key=w, is_parameter, is_inplace>"
PAIR = "<Tuple[Tensor[Float32]*2], TupleShape((128), (128))>"
THREE = "<Tuple[Tensor[Float32]*3], TupleShape((16, 64), (256), (2, 64)), elements_use_flags={1}>"
CHAIN: tuple[Statement, ...] = (
    ("%0(w) = Load(%para1_w, UMonad[U])", f"{PARAMETER}, <UMonad, NoShape>", full(256)),
    ("%1(a) = PrimFunc_Cast(%para2_x, I64(42))", half(1024), full(256)),  # 1 KB
    ("%2(b) = PrimFunc_Split(%1, I64(0))", full(256), PAIR),  # twice half a KB
    ("%3(c) = TupleGetItem(%2, I64(1))", PAIR, full(128)),
    ("%4(d) = PrimFunc_Reshape(%3, (I64(2), I64(64)))", full(128), full(2, 64)),
    ("%5(e) = PrimFunc_Tile(%4, (I64(8)))", full(2, 64), full(16, 64)),  # 4 KB
    ("%6(m) = MakeTuple(%5, %0, %4)", f"{full(16, 64)}, {full(256)}, {full(2, 64)}", THREE),
    ("%7(g) = PrimFunc_AddN(%6)", THREE, full(512)),  # 2 KB
    (
        "%8(u) = PrimFunc_Assign(%para1_w, %7) primitive_attrs: {side_effect_mem: Bool(1)}",
        f"{PARAMETER}, {full(512)}",
        PARAMETER,
    ),
    ("%9(r) = PrimFunc_Sqrt(%para2_x)", half(1024), full(1)),
    RETURN,
)


def test_kernels_bytes_and_memory_of_a_chain():
    found = costs(*read(graph(*CHAIN)))
    assert [kernel.operator for kernel in found.kernels] == ["Cast", "Split", "Tile", "AddN", "Assign", "Sqrt"], "no views"
    assert not found.on_cube() and found.flops == 0
    by_hand = {
        "Cast": 2 * KB + KB,
        "Split": KB + KB,
        "Tile": KB // 2 + 4 * KB,
        "AddN": 4 * KB + KB + KB // 2 + 2 * KB,
        "Assign": KB + 2 * KB + KB,
        "Sqrt": 2 * KB + 4,
    }
    assert {kernel.operator: kernel.moved for kernel in found.kernels} == by_hand
    # When AddN runs, there are the second half of the split, the tiles and the sum. The first half went after Split.
    assert found.peak == KB // 2 + 4 * KB + 2 * KB


def test_what_is_taken_later_lives_longer():
    late = ("%9(r) = PrimFunc_Sqrt(%1)", full(256), full(1))
    assert costs(*read(graph(*CHAIN[:-2], late, RETURN))).peak == KB // 2 + 4 * KB + 2 * KB + KB
    returned = ("Return(%2)", PAIR, "")
    assert costs(*read(graph(*CHAIN[:-1], returned))).peak == KB // 2 + 4 * KB + 2 * KB + KB // 2


def test_the_bound_is_the_slower_of_products_and_bytes():
    card = Card(flops=1e12, bandwidth=1e9)
    found = Costs((Kernel("MatMul", 10**12, 10**6), Kernel("Add", 0, 10**9), Kernel("MatMul", 10**9, 10**9)), 0)
    assert found.seconds(card) == pytest.approx(1 + 1 + 1) and found.seconds(card, found.on_cube()) == pytest.approx(2)
    assert found.by_operator() == [("MatMul", 2, 10**12 + 10**9, 10**6 + 10**9), ("Add", 1, 0, 10**9)]
    assert {name: (card.flops, card.bandwidth) for name, card in CARDS.items()} == {
        "910": (256e12, 1.2e12),
        "910B": (376e12, 1.6e12),
    }


def test_a_slice_reads_what_it_gives():
    call = ("%9(x) = PrimFunc_StridedSlice(%para1_x, (I64(0)), (I64(5)), (I64(1)))", full(1000), full(5))
    (kernel,) = costs(*read(graph(call, RETURN))).kernels
    assert kernel.moved == 2 * 4 * 5


def test_constants_of_several_lines_are_read():
    call = "%9(x) = PrimFunc_Mul(%para1_x, Tensor(shape=[3], dtype=Float32, value=[ 1, 2\n 3]))"
    nodes, returned = read(graph((call, f"{half(3)}, {full(3)}", half(3)), RETURN))
    assert returned == ("%9",) and [node.operator for node in nodes] == ["Mul"]
    assert nodes[0].takes == ((Tensor("Float16", (3,)),), (Tensor("Float32", (3,)),)) and nodes[0].gives == nodes[0].takes[0]


NEG = ("%9(x) = Neg(%1)", half(1), half(1))


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        ((NEG,), "nodes read"),
        ((NEG, RETURN, RETURN), "more than one return"),
        ((("%9(x) = Neg(%1)", "<Tuple[Tensor[Float32]*2], TupleShape((2))>", ""), RETURN), "do not fit"),
    ],
    ids=["no return", "two graphs", "a tuple"],
)
def test_a_graph_that_is_not_understood_is_refused(statements, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(graph(*statements))


@pytest.mark.parametrize("call", ["PrimFunc_QuantMatMul(%1)", "PrimFunc_NewAdam(%1) primitive_attrs: {side_effect_mem: Bool(1)}"])
def test_an_operator_that_needs_a_place_in_the_tables_is_refused(call):
    with pytest.raises(AssertionError, match=r"QuantMatMul|NewAdam"):
        costs(*read(graph((f"%9(x) = {call}", half(1), half(1)), RETURN)))


B0_STAGES = (
    (128 * 256, 32, 3 * 49, 1, 64),
    (64 * 128, 64, 32 * 9, 1, 16),
    (32 * 64, 160, 64 * 9, 1, 4),
    (16 * 32, 256, 160 * 9, 1, 1),
)
"""Of a 512×1024 image: tokens, width, a patch's numbers, and by how much reduction divides the tokens of keys and values."""


def b0_by_hand() -> int:
    """FLOPs of the matrix products that label one 512×1024 image, by the paper's shapes; the head is folded."""
    flops, E, classes, blocks = 0, 256, 19, 2
    for N, C, patch, _, reduction in B0_STAGES:
        M = N // reduction
        attention = (
            2 * N * C * C + 2 * M * C * 2 * C + 2 * (2 * N * M * C) + 2 * N * C * C
        )  # q, k and v, the scores and their sum, proj
        if reduction > 1:
            attention += 2 * M * C * (reduction * C)
        mlp = 2 * N * C * 4 * C + 2 * N * 4 * C * 9 + 2 * N * 4 * C * C
        flops += 2 * N * C * patch + blocks * (attention + mlp)
        flops += 2 * N * C * E + 2 * E * E * C + 2 * E * E  # the level at its own size, and the folding of its weight and bias
    H, W = 128, 256
    for h, w in ((64, 128), (32, 64), (16, 32)):  # bilinear upsampling of the other levels: their columns, then their rows
        flops += 2 * E * h * w * W + 2 * E * H * h * W
    return flops + 2 * H * W * E * classes


@pytest.fixture(scope="module")
def b0(tmp_path_factory) -> Costs:
    need("mindspore")
    return counted(INFERENCE, USUAL, "b0", tmp_path_factory.mktemp("graphs"))


def test_flops_of_b0_are_those_of_its_layers(b0):
    assert b0.flops == b0_by_hand()


def test_the_page_has_what_the_command_counts(b0, tmp_path):
    """One row for all, of the form that compiles fastest; make test-all counts a step's, too."""
    text = PATH.read_text(encoding="utf-8")
    today = list(row(USUAL, "b0", b0))
    training, _, inference = text.partition("### Inference")
    shown = next(line for line in inference.splitlines() if line.startswith(f"| B0 | {USUAL} |"))
    step = next(line for line in training.splitlines() if line.startswith(f"| B0 | {USUAL} |"))
    if f"MindSpore {version('mindspore')}," in text:
        assert cells(shown) == today, OLDER
        if FULL:
            assert cells(step) == list(row(USUAL, "b0", counted(TRAINING, USUAL, "b0", tmp_path))), OLDER
    assert cells(shown)[4] == today[4], "matrix products do not depend on MindSpore's version"


def test_the_page_has_every_table(need_mindspore):
    """Every form of each compared network, in both tasks."""
    text = PATH.read_text(encoding="utf-8")
    found = Costs((Kernel("MatMul", 10**12, 10**9), Kernel("Add", 0, 10**9)), 10**9)
    generated = page(lambda task, kind, variant: found)
    heads = [
        line
        for line in generated.splitlines()
        if line.startswith(("#", "| network", "| form", "| operator", "|  |", "| weights, their"))
    ]
    assert len(heads) == 2 * 5 + 1 and not [line for line in heads if line not in text]
    names, shown = (
        [cells(line)[:2] for line in lines.splitlines() if re.match(r"\| B\d \|", line)] for lines in (generated, text)
    )
    assert names == shown and len(names) == 2 * len(COMPARED) * len(KINDS)
    assert f"of {ORIGINAL_MS} ms" in generated and set(COMPARED) < set(VARIANTS)


def test_the_ascend_page_has_the_memory_of_the_sheet():
    lines = PATH.read_text(encoding="utf-8").partition("### Memory")[2].splitlines()
    head, results = (next(line for line in lines if line.startswith(start)) for start in ("|  |", "| largest results at once"))
    sheet = dict(zip(head.strip("| ").split(" | "), cells(results)[1:], strict=True))
    ascend = (ROOT / "docs/ascend.md").read_text(encoding="utf-8").splitlines()
    shown = cells(next(line for line in ascend if line.startswith("| activations and gradients")))[1:]
    assert shown == [sheet[variant.upper()] for variant in VARIANTS]


def test_the_ascend_page_has_the_figures_of_the_sheet():
    training = PATH.read_text(encoding="utf-8").partition("### Training")[2].splitlines()
    first, usual = (cells(next(line for line in training if line.startswith(f"| B0 | {kind} |"))) for kind in (KINDS[1], USUAL))
    paragraph = (ROOT / "docs/ascend.md").read_text(encoding="utf-8").partition("## What a step costs\n")[2].partition("\n## ")[0]
    for kind, least in ((first, first[8]), (usual, usual[9])):
        assert f"{kind[2]} kernels" in paragraph and f"{kind[4]} GFLOP" in paragraph and f"{kind[5]} GB" in paragraph
        assert f"at least {least.partition(' ')[0]} ms" in paragraph.replace("\n", " ")


def cells(line: str) -> list[str]:
    return line.strip("| ").split(" | ")
