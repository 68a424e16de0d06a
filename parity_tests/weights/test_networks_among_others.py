"""A complete network is found below any prefix and any key; what lies beside it is left out and said."""

import time
from pathlib import Path

import numpy as np
import pytest

from parity_tests.weights.weight_files import architecture, assert_equal_arrays, foreign_arrays, segmenter
from segformer_core.errors import WeightsError
from segformer_core.spec.model import VARIANTS
from segformer_core.weights import reading
from segformer_core.weights.architecture import Architecture
from segformer_core.weights.containers.stored import Content, Stored
from segformer_core.weights.containers.tree import tree_of
from segformer_core.weights.detect import BESIDE, LEFT_OVER, PROFILED, detect
from segformer_core.weights.dialect import entries
from segformer_core.weights.dialects import CANONICAL, NVLABS, NVLABS_BACKBONE, SMP, TRANSFORMERS_4
from segformer_core.weights.flattening import NOT_AN_ARRAY, OUTSIDE
from segformer_core.weights.reading import left_out, read

SEGMENTER, ENCODER = segmenter("b0"), architecture("b0")
NETWORK = foreign_arrays(NVLABS, SEGMENTER)
OTHER = foreign_arrays(NVLABS, SEGMENTER, seed=1)
HF = foreign_arrays(TRANSFORMERS_4, SEGMENTER)
BACKBONE = foreign_arrays(NVLABS_BACKBONE, ENCODER)


def below(prefix: str, arrays: dict) -> dict:
    return {prefix + name: array for name, array in arrays.items()}


def without(name: str, arrays: dict) -> dict:
    return {other: array for other, array in arrays.items() if other != name}


def part_of(arrays: dict, start: str) -> dict:
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


@pytest.fixture
def read_tree(monkeypatch):
    """Reads a tree of dictionaries as if a file held it."""

    def stored(tree):
        return {
            key: stored(value) if isinstance(value, dict) else Stored.of(value) if isinstance(value, np.ndarray) else value
            for key, value in tree.items()
        }

    def read_tree(tree, **options):
        from contextlib import nullcontext

        content = Content("a dictionary", stored(tree), {}, (Path("x.pth"),))
        monkeypatch.setattr(reading.containers, "opened", lambda _: nullcontext(content))
        return read("the file", **options)

    return read_tree


one, matrix = np.zeros(1), np.zeros((19, 19))
LIGHTNING = {
    "state_dict": {
        **below("model.", HF),
        "criterion.weight": np.zeros(19),
        "mean": np.zeros((1, 3, 1, 1)),
        "iou.confmat": matrix,
    },
    "epoch": 3,
    "hyper_parameters": {"lr": 1e-4, "nested": {"a": 1}},
}
AMONG_OTHERS = {
    # what it is: the tree, reason -> the names that are left out for it
    "a Lightning file": (
        LIGHTNING,
        {
            NOT_AN_ARRAY: {"epoch", "hyper_parameters"},
            BESIDE: {"state_dict.criterion.weight", "state_dict.mean", "state_dict.iou.confmat"},
        },
    ),
    "another attribute's name": (below("hf_model.", HF), {}),
    "two attributes' names": (below("base_model.model.", HF), {}),
    "a name like a part's": (below("segformer.", HF), {}),
    "an underscore": (below("_model.", NETWORK), {}),
    "modules that are wrapped one by one": (
        {
            name.replace(".block", "._orig_mod.block").replace("attn.", "_fsdp_wrapped_module._orig_mod.attn."): array
            for name, array in NETWORK.items()
        },
        {},
    ),
    "a key of any name": ({"model_state": NETWORK, "epoch": 1}, {NOT_AN_ARRAY: {"epoch"}}),
    "keys in keys": ({"checkpoint": {"generator_weights": below("module.", NETWORK)}}, {}),
    "a key for each half": (
        {"backbone": part_of(NETWORK, "backbone."), "decode_head": part_of(NETWORK, "decode_head.")},
        {},
    ),
    "a profiler's counters": (
        {**NETWORK, "backbone.block1.0.attn.q.total_ops": one, "total_params": one},
        {PROFILED: {"backbone.block1.0.attn.q.total_ops", "total_params"}},
    ),
    "an auxiliary head": ({**NETWORK, "auxiliary_head.conv.weight": matrix}, {BESIDE: {"auxiliary_head.conv.weight"}}),
    "a classifier left in the encoder": ({**NETWORK, "backbone.head.weight": matrix}, {LEFT_OVER: {"backbone.head.weight"}}),
    "an averaged model": ({"n_averaged": one, **below("module.", NETWORK)}, {BESIDE: {"n_averaged"}}),
    "an average beside its count": (
        {"ema_state_dict": {**below("module.", NETWORK), "steps": one}},
        {BESIDE: {"ema_state_dict.steps"}},
    ),
    "an optimizer's state": (
        {"weights": NETWORK, "optimizer": {"state": {0: {"exp_avg": matrix}}, "param_groups": []}},
        {LEFT_OVER: {"optimizer.state.0.exp_avg"}, NOT_AN_ARRAY: {"optimizer.param_groups"}},
    ),
    "an incomplete network that comes after": (
        {"model": NETWORK, "other": without("backbone.norm1.bias", part_of(NETWORK, "decode"))},
        {BESIDE: {f"other.{name}" for name in part_of(NETWORK, "decode")}},
    ),
}


@pytest.mark.parametrize("case", AMONG_OTHERS)
def test_a_network_is_found_and_the_rest_is_said(case, read_tree):
    tree, reasons = AMONG_OTHERS[case]
    weights = read_tree(tree)
    assert weights.architecture == SEGMENTER
    assert {why: set(names) for why, names in reading.reasons(weights.dropped).items()} == reasons
    original = read_tree(HF if weights.dialect is TRANSFORMERS_4 else NETWORK)
    assert_equal_arrays(weights.atoms, original.atoms)


def test_what_is_left_out_is_counted():
    assert left_out({"a": NOT_AN_ARRAY, **dict.fromkeys("bcde", BESIDE)}) == [
        f"1 entry, {NOT_AN_ARRAY}: a",
        f"4 arrays, {BESIDE}: b, c, d, …",
    ]


PREFERRED = {
    # the tree of two networks: the part that is the other one
    "student and teacher": ({**below("student.", NETWORK), **below("teacher.", OTHER)}, "teacher"),
    "model and average": (
        {"ema_state_dict": {**below("module.", OTHER), "steps": one}, "model": NETWORK},
        "ema_state_dict.module",
    ),
    "any name and its average": ({**below("hf_model.", NETWORK), **below("hf_model_ema.", OTHER)}, "hf_model_ema"),
    "a state and its average": ({"state_dict": NETWORK, "state_dict_ema": OTHER}, "state_dict_ema"),
    "a state and another": ({"best_weights": OTHER, "state_dict": NETWORK}, "best_weights"),
    "copies in one key": ({"state_dict": {**below("model.", NETWORK), **below("ema.", OTHER)}}, "state_dict.ema"),
}


@pytest.mark.parametrize("case", PREFERRED)
def test_of_two_networks_the_ordinary_one_is_taken_and_the_other_is_named(case, read_tree):
    tree, part = PREFERRED[case]
    weights = read_tree(tree)
    assert_equal_arrays(weights.atoms, read_tree(NETWORK).atoms)
    copies = {why for why in weights.dropped.values() if "copy" in why}
    assert copies == {
        f"another copy, below {part}; --part {part} (convert_model) or --ckpt_part {part} (other commands) takes it"
    }
    taken = read_tree(tree, part=part)
    assert_equal_arrays(taken.atoms, read_tree(OTHER).atoms)
    assert OUTSIDE in taken.dropped.values()


@pytest.mark.parametrize("part", ["ema", "state_dict.ema", "state_dict.ema."])
def test_a_part_is_named_in_full_or_by_its_end(part, read_tree):
    tree = {"state_dict": {**below("model.", NETWORK), **below("ema.", OTHER)}}
    assert_equal_arrays(read_tree(tree, part=part).atoms, read_tree(OTHER).atoms)


def test_of_two_networks_without_an_order_none_is_taken(read_tree):
    tree = {**below("net_b.", NETWORK), **below("net_a.", OTHER)}
    with pytest.raises(WeightsError, match="the file holds 2 networks, below net_b and below net_a, .*; name one: --part net_b"):
        read_tree(tree)
    assert_equal_arrays(read_tree(tree, part="net_a").atoms, read_tree(OTHER).atoms)
    tree = {**BACKBONE, **foreign_arrays(CANONICAL, ENCODER)}
    with pytest.raises(
        WeightsError, match="holds 2 networks, by our own and by NVlabs/SegFormer, encoder, .*: --from canonical$"
    ):
        read_tree(tree)
    tree = {f"net_{index}": NETWORK for index in range(17)}
    with pytest.raises(WeightsError, match="holds 17 networks; name one: --part net_0 "):
        read_tree(tree)
    tree = {"runs": {"a": {"net": NETWORK}, "b": {"net": OTHER}}}
    with pytest.raises(WeightsError, match="'net' at several places: runs.a.net and runs.b.net"):
        read_tree(tree, part="net")


damaged = without("backbone.norm1.bias", NETWORK)
PARTIAL = {
    # the tree: the sentence
    "a damaged network before its whole copy": (
        {**below("model.", damaged), **below("ema.", OTHER)},
        r"nearest is NVlabs/SegFormer: 1 missing \(backbone.norm1.bias\); --part ema .* takes the complete one",
    ),
    "a damaged network and its encoder": (
        {**below("net.", without("decode_head.linear_pred.bias", NETWORK)), **below("enc.", BACKBONE)},
        r"by NVlabs/SegFormer, but its decode head is incomplete .*1 missing \(decode_head.linear_pred.bias\)",
    ),
    "a head under any name": (
        {**below("enc.", BACKBONE), "up.conv.weight": matrix},
        r"1 unknown \(up.conv.weight\)\); convert_model --drop_head",
    ),
    "a head by a key": (
        {"enc": BACKBONE, "dec": {"conv.weight": matrix}},
        r"1 unknown \(dec.conv.weight\)\); convert_model --drop_head",
    ),
    "an array inside a block": (
        {"any": {**NETWORK, "backbone.block1.0.attn.gate": one}},
        r"nearest is NVlabs/SegFormer: 1 unknown \(backbone.block1.0.attn.gate\)",
    ),
    "an array inside the head": ({**NETWORK, "decode_head.extra.weight": one}, r"1 unknown \(decode_head.extra.weight\)"),
    "a network that has a few names of ours": (
        {
            **below("encoder.layer.", {str(index): matrix for index in range(90)}),
            **part_of(foreign_arrays(SMP, SEGMENTER), "none"),
        }
        | {"segmentation_head.0.weight": matrix, "segmentation_head.0.bias": one},
        "does not hold the weights of any known SegFormer; its first names are: encoder.layer.0",
    ),
}


@pytest.mark.parametrize("case", PARTIAL)
def test_a_part_of_a_network_is_never_taken(case, read_tree):
    tree, sentence = PARTIAL[case]
    with pytest.raises(WeightsError, match=sentence):
        read_tree(tree)


def test_an_encoder_that_lies_beside_vectors_is_whole(read_tree):
    weights = read_tree({**below("enc.", BACKBONE), "mean": np.zeros((1, 3, 1, 1))})
    assert weights.architecture == ENCODER and weights.dropped == {"mean": BESIDE}


def test_an_array_in_ten_dictionaries_is_found():
    tree = {"w": Stored.of(one)}
    for _ in range(10):
        tree = {"a": tree}
    assert list(reading.flat(tree_of(tree), "the file")[0]) == ["a." * 10 + "w"]


def test_widths_that_the_heads_do_not_divide(read_tree):
    narrow = Architecture((32, 65, 160, 256), (1, 1, 1, 1), 3, 64, 5)
    with pytest.raises(WeightsError, match="stage 2 has 65 channels, expected a multiple of its 2 heads"):
        read_tree(foreign_arrays(NVLABS, narrow))


def test_dictionaries_in_a_circle_and_names_that_meet_are_refused(read_tree):
    circle = {"weights": dict(NETWORK)}
    circle["weights"]["again"] = 1
    with pytest.raises(WeightsError, match="two arrays of the name 'a.b.c'"):
        read_tree({"a.b": {"c": one}, "a": {"b.c": one}})
    wide = {f"k{index}": 0 for index in range(2000)}
    for _ in range(3):
        wide = {f"k{index}": wide for index in range(100)}
    with pytest.raises(ValueError, match="more than 200,000 entries"):
        tree_of(wide)
    with pytest.raises(WeightsError, match="holds no arrays; its first keys are: an integer of"):
        reading.flat({10**9999: 1}, "the file")
    with pytest.raises(WeightsError, match="a name of 100001 characters"):
        reading.flat({"." * 100000: {"": Stored.of(one)}}, "the file")
    wide["self"] = wide
    with pytest.raises(ValueError, match="more than 200,000 entries"):
        tree_of(wide)


@pytest.mark.parametrize("prefix", ["", "a.b.c."])
def test_the_largest_network_is_found_at_once(prefix):
    """A tenth of a second on any machine of the last years; three times that leaves room for a busy one."""
    large = Architecture(VARIANTS["b5"].widths, VARIANTS["b5"].depths, 3, 768, 150)
    shapes = {prefix + name: entry.shape for name, entry in entries(NVLABS, large).items()}
    detect(shapes, "the file")
    start = time.process_time()
    detect(shapes, "the file")
    assert time.process_time() - start < 0.3


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "complex64", "int4"])
def test_numbers_of_another_kind_are_refused_by_name(kind, monkeypatch):
    from contextlib import nullcontext

    tree = {
        name: Stored(array.shape, kind if name == "backbone.norm1.bias" else "float32", lambda: None)
        for name, array in NETWORK.items()
    }
    tree["backbone.patch_embed1.proj.weight"] = Stored((32, 3, 7, 7), kind, lambda: None)
    monkeypatch.setattr(reading.containers, "opened", lambda _: nullcontext(Content("a dictionary", tree, {}, (Path("x.pth"),))))
    with pytest.raises(
        WeightsError, match=rf"proj.weight is of type {kind}; expected floats of type float16, bfloat16, float32, float64"
    ):
        read("the file")
