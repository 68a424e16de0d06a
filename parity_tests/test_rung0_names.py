"""Rung 0: names and shapes. The spec against outside facts, and both twins against the spec."""

import numpy as np
import pytest

from parity_tests.support import check_exact_control, mindspore_learner, torch_learner
from parity_tests.transformers_peer import peer_state
from segformer_core.errors import ConfigError, WeightsError
from segformer_core.spec.arrays import array_specs, check_arrays, init_arrays, parameter_count
from segformer_core.spec.layers import LayerNorm
from segformer_core.spec.model import VARIANTS, leaves, segformer

PAPER_PARAMETERS = {
    "b0": 3_719_027,
    "b1": 13_682_131,
    "b2": 27_361_235,
    "b3": 47_237_075,
    "b4": 64_007_635,
    "b5": 84_607_955,
}
"""19 classes, counted on the paper's code."""


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameter_count_is_the_papers(variant):
    assert parameter_count(segformer(variant)) == PAPER_PARAMETERS[variant]


@pytest.mark.parametrize("variant", VARIANTS)
def test_torch_has_the_specs_arrays(variant, need_torch):
    from backend_torch.model import SegFormer

    spec = segformer(variant)
    found = {name: tuple(array.shape) for name, array in SegFormer(spec).state_dict().items()}
    assert found == {array.name: array.shape for array in array_specs(spec)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_mindspore_has_the_specs_arrays(variant, need_mindspore):
    from backend_mindspore.learner import canonical_parameters
    from backend_mindspore.model import SegFormer

    spec = segformer(variant)
    found = {name: tuple(array.shape) for name, array in canonical_parameters(spec, SegFormer(spec)).items()}
    assert found == {array.name: array.shape for array in array_specs(spec)}


@pytest.mark.parametrize("variant", ["b0", "b2"])
def test_transformers_has_the_specs_arrays(variant, tmp_path, need_torch):
    """On disk; in memory version 5 has other names."""
    import safetensors.numpy
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    spec, shape = segformer(variant), VARIANTS[variant]
    peer = SegformerForSemanticSegmentation(
        SegformerConfig(
            depths=list(shape.depths),
            hidden_sizes=list(shape.widths),
            decoder_hidden_size=shape.decoder_width,
            num_labels=19,
        )
    )
    peer.save_pretrained(tmp_path)
    theirs, ours = safetensors.numpy.load_file(tmp_path / "model.safetensors"), peer_state(spec, init_arrays(spec, 0))
    assert {name: value.shape for name, value in theirs.items()} == {name: value.shape for name, value in ours.items()}


def test_free_choice_of_classes_channels_and_width():
    spec = segformer("mit_b1", class_count=7, in_channels=5, decoder_width=48)
    shapes = {array.name: array.shape for array in array_specs(spec)}
    assert shapes["stages.0.patch_embed.proj.weight"] == (64, 5, 7, 7)
    assert shapes["decode_head.linear_fuse.conv.weight"] == (48, 192, 1, 1)
    assert shapes["decode_head.linear_pred.weight"] == (7, 48, 1, 1)


def test_profiles_differ_where_they_should():
    def eps(numerics):
        return {path: leaf.eps for path, leaf in leaves(segformer("b1", numerics=numerics)) if isinstance(leaf, LayerNorm)}

    nvlabs, hf = eps("nvlabs"), eps("hf")
    assert set(hf.values()) == {1e-5}
    assert nvlabs["stages.0.patch_embed.norm"] == nvlabs["stages.0.blocks.0.attn.norm"] == 1e-5
    assert nvlabs["stages.0.blocks.0.norm1"] == nvlabs["stages.0.blocks.0.norm2"] == nvlabs["stages.3.norm"] == 1e-6
    assert segformer("b1", numerics="zoo").decoder_width == 512
    assert segformer("b0", numerics="zoo").decoder_width == 256
    assert segformer("b1", numerics="zoo").blocks[0].mlp.gelu == "tanh"


def test_unknown_variant_and_profile_are_named():
    with pytest.raises(ConfigError, match="mit_b9.*mit_b0, mit_b1"):
        segformer("mit_b9")
    with pytest.raises(ConfigError, match="caffe.*nvlabs, hf, zoo"):
        segformer("b0", numerics="caffe")


def test_drop_path_rises_linearly_over_all_blocks():
    rates = [block.drop_path for block in segformer("b2", drop_path_rate=0.1).blocks]
    assert rates == pytest.approx([0.1 * i / 15 for i in range(16)])


def test_first_values_follow_the_papers_rules():
    spec = segformer("b2")
    arrays = init_arrays(spec, 0)
    for array in array_specs(spec):
        value, owner = arrays[array.name], array.owner
        assert value.shape == array.shape and value.dtype == np.float32
        if value.size < 2000 or array.leaf_name == "bias":
            continue
        if owner.init == "trunc_normal":
            expected = 0.02
        elif owner.init == "fan_out_normal":
            expected = np.sqrt(2 / (owner.kernel**2 * owner.out_channels / owner.groups))
        else:
            expected = 1 / np.sqrt(3 * owner.fan_in)  # of a uniform distribution up to 1/√fan_in
        assert value.std() == pytest.approx(expected, rel=0.1), array.name
    assert not arrays["stages.0.blocks.0.attn.q.bias"].any()
    assert arrays["stages.0.norm.weight"].min() == 1 and arrays["decode_head.linear_fuse.bn.running_var"].min() == 1


def test_first_values_do_not_depend_on_other_arrays():
    few, many = (init_arrays(segformer("b0", class_count=count), 3) for count in (2, 19))
    other = init_arrays(segformer("b0", class_count=2), 4)
    encoder = [name for name in few if not name.startswith("decode_head.linear_pred")]
    assert all(np.array_equal(few[name], many[name]) for name in encoder)
    assert not np.array_equal(few["stages.0.patch_embed.proj.weight"], other["stages.0.patch_embed.proj.weight"])


def test_check_lists_every_difference():
    spec = segformer("b0")
    arrays = init_arrays(spec, 0)
    check_arrays(spec, arrays, "sound")
    del arrays["stages.0.norm.bias"]
    arrays["stages.9.norm.bias"] = np.zeros(3)
    arrays["stages.1.norm.bias"] = np.zeros(65)
    with pytest.raises(WeightsError) as error:
        check_arrays(spec, arrays, "file.safetensors")
    message = str(error.value)
    assert "file.safetensors" in message and "3 differences" in message
    assert "missing stages.0.norm.bias" in message
    assert "unknown stages.9.norm.bias" in message
    assert "stages.1.norm.bias has shape (65,), expected (64,)" in message
    check_exact_control("a name missing, one unknown, one of another shape", message.count("norm.bias"), "names and shapes")


def test_a_learner_refuses_another_networks_arrays(need_torch, need_mindspore):
    arrays = init_arrays(segformer("b0", class_count=2), 0)
    for make in (torch_learner, mindspore_learner):
        with pytest.raises(WeightsError, match="linear_pred.weight has shape"):
            make(segformer("b0", class_count=3), arrays)
