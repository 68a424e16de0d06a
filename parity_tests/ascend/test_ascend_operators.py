"""Ascend readiness without an Ascend: each operator of the compiled graphs is documented for it, its warnings are answered."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version

import pytest

from parity_tests import ROOT
from parity_tests.ascend.ascend_documents import stale, unanswered, unsupported
from parity_tests.ascend.ascend_graphs import EVERY_LOSS, FORMS, QUICK, SLOW, Form, Graph, choices, compiled, small_network
from parity_tests.ascend.kernel_table import rows, unserved
from parity_tests.ascend.plugin import Served, asked, plugin_folder, vendor_names
from parity_tests.conftest import need
from parity_tests.training_runs import FULL
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.hard_pixels import steps
from segformer_core.spec.arrays import array_specs
from segformer_core.spec.layers import RUNNING_STATISTICS, LayerNorm
from segformer_core.spec.model import NUMERICS, VARIANTS, SegFormer, leaves, segformer

KERNELS = ROOT / "docs/ascend_kernels.md"
NAMES = [*QUICK, *(SLOW if FULL else ())]
GRAPHS = [(name, graph) for name in NAMES for graph in FORMS[name].graphs]
WHOLE = {name: name.partition(",")[0] for name in NAMES if name.endswith((", b0", ", b2"))}
"""Form of a whole network -> form of the small network."""

MOST_ARRAYS = 32
"""Of a buffer whose weights one kernel updates: `backend_mindspore.buffers`'."""

HEAD_WIDTH_UNIT, LARGEST_HEAD_WIDTH, MOST_HEADS = 16, 512, 256
"""The limits of the fused attention, by its documentation."""


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> Iterator[Callable[[str, str], Graph]]:
    """(form, graph) -> the compiled graph. Two forms are compiled at a time."""
    need("mindspore")
    with ThreadPoolExecutor(2) as pool:
        compiling = {name: pool.submit(compiled, name, tmp_path_factory.mktemp("graphs")) for name in NAMES}
        yield lambda name, which: compiling[name].result()[which]
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(("name", "which"), GRAPHS)
def test_every_operator_is_documented_for_ascend(name, which, graph):
    assert not (problems := unsupported(graph(name, which).operators)), "; ".join(problems)


@pytest.fixture(scope="module")
def served(need_plugin, graph) -> dict[str, Served]:
    """Operator of any graph -> what the plugin answers. A process that loads it is asked for all of them."""
    return asked({operator for name, which in GRAPHS for operator, _ in graph(name, which).calls})


@pytest.mark.parametrize(("name", "which"), GRAPHS)
def test_the_plugin_has_a_kernel_for_every_operator(name, which, graph, served):
    calls = graph(name, which).calls
    assert unserved(calls, served) == []
    text = KERNELS.read_text(encoding="utf-8")
    if f"MindSpore {version('mindspore')}." in text:  # another version may have other kernels
        listed = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
        shown = {operator: (kernel, adapter, set(types.split())) for operator, kernel, adapter, types in listed}
        for operator, kernel, adapter, types in rows(calls, served, vendor_names(plugin_folder())):
            assert operator in shown, f"docs/ascend_kernels.md lacks {operator}: its command is on the page"
            assert shown[operator][:2] == (kernel, adapter) and set(types.split()) <= shown[operator][2], operator


@pytest.mark.parametrize(("name", "which"), GRAPHS)
def test_every_warning_of_the_documentation_is_answered(name, which, graph):
    assert unanswered(graph(name, which).calls) == []


def test_no_answer_is_stale(graph):
    """The quick forms have every operator of the others."""
    import mindspore

    operators = {operator for name, which in GRAPHS for operator in graph(name, which).operators}
    assert stale(operators, mindspore.__version__.rpartition(".")[0]) == []


@pytest.mark.parametrize(("name", "which"), GRAPHS)
def test_the_graph_has_the_operators_of_an_ascend(name, which, graph):
    """The whole graph was read, and no part of it is as for a CPU: each operator occurs as often as the spec requires."""
    operators, counts = graph(name, which).operators.copy(), expected(FORMS[name], which)
    operators["Less"] += operators["LessScalar"]  # MindSpore 2.7 has no operator of its own for a number
    assert {operator: operators[operator] for operator in counts} == counts
    assert (operators["AllReduce"] > 0) == (FORMS[name].processes > 1)
    plain = (FORMS[name].precision == "fp32" or FORMS[name].first) and which != "hard pixels"
    assert (operators["Softmax"] > 0) == (plain or FORMS[name].config.loss == EVERY_LOSS)
    low = {"fp32": "Float32", "fp16": "Float16", "bf16": "BFloat16"}[FORMS[name].precision]
    for operator, call in graph(name, which).calls:
        if operator in ("Conv2D", "Conv2DBackpropFilter", "FlashAttentionScore", "FlashAttentionScoreGrad"):
            assert call.partition("\n")[2].strip().startswith(f": (<Tensor[{low}]"), f"{operator}: {call}"


def expected(form: Form, graph: str) -> dict[str, int]:
    """How often a graph has some of its operators."""
    if graph == "after the network":
        return {"ResizeBilinearV2": 1, "Softmax": 1, "Argmax": 1, "ReverseV2": 1, "Slice": 2, "Concat": 3}
    spec, options, training = form.spec, form.config, not graph.startswith("inference")
    searched = len(steps(options.loss.ohem_threshold)) if options.loss.ohem_threshold else 0
    if graph == "hard pixels":
        return {"Less": searched + 2, "LessEqual": searched, "Sort": 0, "MatMul": 0}
    gelus = [block.mlp.gelu for block in spec.blocks]
    fused = len(spec.blocks) if form.precision != "fp32" and not form.first else 0
    erf, tanh, one_kernel = (gelus.count("erf"), gelus.count("tanh"), 0) if form.first else (0, 0, len(gelus))
    convolutions = len(spec.stages) + len(spec.blocks)  # patch embeddings, depthwise convolutions; all others are matrix products
    norms = sum(isinstance(leaf, LayerNorm) for _, leaf in leaves(spec))
    learns = training and graph != "probabilities"
    trained = sum(array.leaf_name not in RUNNING_STATISTICS for array in array_specs(spec))
    forward = {
        "Conv2D": convolutions,
        "LayerNorm": norms,
        "Erf": erf,
        "GeLU": tanh,
        "GeluExt": one_kernel,
        "FlashAttentionScore": fused,
        "ResizeBilinearV2": 0,  # matrix products
        "BatchNorm": int(training and form.processes == 1),
        "LessEqual": searched * (graph == "training" and options.training.accumulation_steps == 1),
        "Gather": int(learns and form.class_weights is not None),
        "Sort": int(learns and options.loss == EVERY_LOSS),
    }
    backward = {
        "Conv2DBackpropFilter": convolutions,
        "Conv2DBackpropInput": convolutions - 1,  # the image needs no gradient
        "LayerNormGrad": norms,
        "GeLUGrad": tanh,
        "GeluGradExt": one_kernel,
        "FlashAttentionScoreGrad": fused,
        "ResizeBilinearGrad": 0,
        "BatchNormGrad": int(form.processes == 1),
        "NPUGetFloatStatusV2": 2 * form.first,  # before the first operator, and after the gradients
        "NPUClearFloatStatusV2": 2 * form.first,
    }
    groups = parameter_groups(spec, options.optimizer)
    buffers = sum(-(-len(group.names) // MOST_ARRAYS) for group in groups)
    assert sum(len(group.names) for group in groups) == trained > 3 * buffers
    update = {
        "AssignAdd": (buffers + len(("loss", "weight")) + form.first) * (graph == "accumulation"),
        "Adam": buffers * (graph == "training"),
        "SplitV": buffers * (graph == "training"),
        "Minimum": int(graph == "training" and options.optimizer.clip_norm > 0),
    }
    return forward | {operator: count if learns else 0 for operator, count in backward.items()} | update


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_network_has_no_other_operators(name, graph):
    (which,) = FORMS[name].graphs
    whole, small = (graph(form, which).operators.keys() for form in (name, WHOLE[name]))
    assert whole == small


@pytest.mark.parametrize("numerics", NUMERICS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_small_network_stands_for_all(variant, numerics):
    """The small network has every choice of every other network, which only repeat them in other depths and widths."""
    assert choices(segformer(variant, numerics=numerics)) <= choices(small_network())


def test_a_choice_that_the_small_network_lacks_is_found():
    spec = small_network()
    assert choices(segformer()) - choices(with_gelu(spec, "tanh")) == {"MixFFN.gelu erf"}
    assert choices(segformer()) - choices(replace(spec, stages=spec.stages[1:])) >= {"Attention.sr Conv2d", "Attention.heads 1"}
    assert choices(spec) - choices(segformer(drop_path_rate=0.0)) == {"Block.drop_path another number", "MixFFN.gelu tanh"}


def with_gelu(spec: SegFormer, gelu: str) -> SegFormer:
    stages = (
        replace(stage, blocks=tuple(replace(block, mlp=replace(block.mlp, gelu=gelu)) for block in stage.blocks))
        for stage in spec.stages
    )
    return replace(spec, stages=tuple(stages))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_fused_attention_takes_every_head(variant):
    for block in segformer(variant).blocks:
        width, heads = block.attn.q.out_features, block.attn.heads
        assert width % heads == 0 and width // heads % HEAD_WIDTH_UNIT == 0
        assert width // heads <= LARGEST_HEAD_WIDTH and heads <= MOST_HEADS


def test_a_constant_of_several_lines_keeps_the_types_of_its_call():
    types = "      : (<Tensor[Int64], (2, 1)>, <Tensor[Int64], (2, 1), value=...>) -> (<Tensor[Bool], (2, 1)>)"
    call = f"(%0, Tensor(shape=[2, 1], dtype=Int64, value=\n[[0]\n [1]])) {{}}\n{types}"
    text = f"  %1(x) = PrimFunc_Equal{call}\n      # where\n  Return(%1)\n      : (<a>)\nTotal number of cnodes: 2\n"
    assert Graph(text).calls == [("Equal", call)]


def test_a_graph_that_is_read_in_part_is_refused():
    line = "  %1(x) = PrimFunc_Erf(%0)\n      : (<Tensor[Float32], (2)>) -> (<Tensor[Float32], (2)>)\n  Return(%1)\n"
    assert Graph(f"{line}Total number of cnodes: 2\n").operators == {"Erf": 1}
    for text in (line, f"{line}Total number of cnodes: 3\n", "Total number of cnodes: 0\n"):
        with pytest.raises(AssertionError, match="nodes read"):
            Graph(text)
