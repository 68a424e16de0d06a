"""Rung 6, names: files of every code base are recognised, cut into our arrays and put together again, bit for bit."""

from importlib.metadata import version

import numpy as np
import pytest

from parity_tests.training_runs import FULL
from parity_tests.weights.weight_files import (
    architecture,
    assert_equal_arrays,
    foreign_arrays,
    listed_shapes,
    random_arrays,
    saved,
    segmenter,
    weights_of,
)
from segformer_core.errors import WeightsError
from segformer_core.spec.model import VARIANTS
from segformer_core.weights.architecture import atoms
from segformer_core.weights.detect import detect
from segformer_core.weights.dialect import entries, without_place
from segformer_core.weights.dialects import DIALECTS, NVLABS, TAO, TIMM, TRANSFORMERS_4, TRANSFORMERS_5, ZOO
from segformer_core.weights.reading import network_arrays, read
from segformer_core.weights.writing import exported, plan_writing

SEGMENTER = architecture("b0", class_count=19, decoder_width=256)
CLASSIFIER = architecture("b0", image_classes=1000)
ENCODER = architecture("b0")

LIVE_LISTS = {
    # list: dialect, what it holds, arrays that are not weights
    "hf4_base_b0": ("transformers, base model", ENCODER, 0),
    "hf4_imagenet_b0": ("transformers", CLASSIFIER, 0),
    "hf4_seg_b0": ("transformers", SEGMENTER, 0),
    "hf5_base_b0": ("transformers 5 in memory, base model", ENCODER, 0),
    "hf5_imagenet_b0": ("transformers 5 in memory", CLASSIFIER, 0),
    "hf5_seg_b0": ("transformers 5 in memory", SEGMENTER, 0),
    "hf_tf_seg_h5_b0": ("transformers, TensorFlow", SEGMENTER, 0),
    "keras_hub_imagenet_h5_b0": ("keras-hub, image classifier", CLASSIFIER, 2),
    "keras_hub_mit_h5_b0": ("keras-hub, encoder", ENCODER, 0),
    "keras_hub_seg_h5_b0": ("keras-hub, segmenter", SEGMENTER, 2),
    "keras_hub_preset": ("keras-hub, preset", SEGMENTER, 2),
    "mindspore_zoo_seg_b0": ("the MindSpore model zoo", SEGMENTER, 0),
    "mindspore_zoo_train_ckpt_b0": ("the MindSpore model zoo", SEGMENTER, 384),
    "mmseg_backbone_b0": ("mmsegmentation, encoder", ENCODER, 0),
    "mmseg_seg_b0": ("mmsegmentation", ENCODER, 32),
    "nvlabs_imagenet_b0": ("NVlabs/SegFormer, encoder", CLASSIFIER, 0),
    "nvlabs_seg_b0": ("NVlabs/SegFormer", SEGMENTER, 2),
    "paddleseg_backbone_b0": ("PaddleSeg, encoder", ENCODER, 0),
    "paddleseg_seg_b0": ("PaddleSeg", SEGMENTER, 0),
    "smp_encoder_b0": ("NVlabs/SegFormer, encoder", ENCODER, 0),
    "smp_seg_b0": ("segmentation_models_pytorch", SEGMENTER, 0),
    "tao5_seg_b0_from_source": ("NVIDIA TAO 5", SEGMENTER, 0),
    "timm_pvtv2_hosting_mit_b0": ("timm's pvt_v2 hosting MiT", CLASSIFIER, 0),
}


def live_shapes(name: str) -> dict[str, tuple[int, ...]]:
    if name != "keras_hub_preset":
        return listed_shapes(name)
    task = {f"task:{key}": shape for key, shape in listed_shapes("keras_hub_preset_task_b0").items()}
    return listed_shapes("keras_hub_preset_model_b0") | task


@pytest.mark.parametrize("name", LIVE_LISTS)
def test_a_live_models_file_round_trips_bit_for_bit(name, tmp_path):
    title, network, left_out = LIVE_LISTS[name]
    drop_head = name == "mmseg_seg_b0"
    arrays = random_arrays(live_shapes(name))
    weights = read(saved(tmp_path / "live.safetensors", arrays), drop_head=drop_head)
    assert (weights.dialect.title, weights.architecture, len(weights.dropped)) == (title, network, left_out)

    canonical = read(write_canonical(tmp_path, weights))
    assert_equal_arrays(canonical.atoms, weights.atoms)
    family = weights.dialect.name
    written = exported(canonical, plan_writing(canonical, tmp_path / target(family), family))
    kept = {key: array for key, array in arrays.items() if key not in weights.dropped}
    dead = {key: np.zeros_like(array) for key, array in arrays.items() if key in NVLABS.unused and family == "nvlabs"}
    if drop_head:
        kept = {key.removeprefix("backbone."): array for key, array in kept.items()}
    assert_equal_arrays(written, kept | dead)


def write_canonical(tmp_path, weights):
    path = tmp_path / "canonical.safetensors"
    return saved(path, exported(weights, plan_writing(weights, path)))


def target(family: str) -> str:
    return {"keras_preset": "preset", "paddle": "x.pdparams", "keras": "x.h5", "tf": "x.h5"}.get(family, "x.pth")


def test_every_list_of_a_convertible_network_is_in_the_table():
    from parity_tests.weights.weight_files import LISTS

    elsewhere = {"lucidrains_b0like", "keras_hub_preset_model_b0", "keras_hub_preset_task_b0"}
    assert {path.stem for path in LISTS.iterdir()} == LIVE_LISTS.keys() - {"keras_hub_preset"} | elsewhere


def holdable(dialect, variant: str):
    """The fullest architecture of a variant that a dialect's file can hold."""
    for network in (segmenter(variant), architecture(variant, image_classes=1000), architecture(variant)):
        if not [atom for atom in without_place(dialect, network) if not atom.optional]:
            return network
    raise AssertionError(dialect.title)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.title)
def test_every_variant_of_every_dialect_is_recognised_as_what_it_is(dialect, variant):
    network = holdable(dialect, variant)
    names = entries(dialect, network)
    match = detect({name: entry.shape for name, entry in names.items()}, "the file")
    assert match.entries == names and match.architecture == network and match.dropped == {}
    assert match.dialect.axes == dialect.axes and match.dialect.name == dialect.name
    placed = [atom.name for entry in names.values() for atom in entry.atoms]
    lost = [atom.name for atom in without_place(dialect, network)]
    assert sorted(placed + lost) == sorted(atom.name for atom in atoms(network)), "each atom has one place"


@pytest.mark.parametrize("variant", VARIANTS)
def test_transformers_has_these_names(variant):
    import torch
    from transformers import SegformerConfig, SegformerForImageClassification, SegformerForSemanticSegmentation

    dialect = {"4": TRANSFORMERS_4, "5": TRANSFORMERS_5}[version("transformers").partition(".")[0]]
    shape = VARIANTS[variant]
    config = SegformerConfig(
        depths=shape.depths, hidden_sizes=shape.widths, decoder_hidden_size=shape.decoder_width, num_labels=150
    )
    with torch.device("meta"):
        live = {SegformerForSemanticSegmentation(config): segmenter(variant, 150)}
        live |= {SegformerForImageClassification(config): architecture(variant, image_classes=150)}
    for model, network in live.items():
        shapes = {name: tuple(array.shape) for name, array in model.state_dict().items()}
        assert shapes == {name: entry.shape for name, entry in entries(dialect, network).items()}


def test_every_name_counts():
    whole = {name: entry.shape for name, entry in entries(NVLABS, SEGMENTER).items()}
    for name in list(whole)[:: 1 if FULL else 7]:
        rest = {other: shape for other, shape in whole.items() if other != name}
        if name.endswith("num_batches_tracked"):
            assert detect(rest, "the file").architecture == SEGMENTER, "optional"
            continue
        with pytest.raises(WeightsError, match="missing") as error:
            detect(rest, "the file")
        assert "NVlabs/SegFormer" in str(error.value) and f"1 missing ({name})" in str(error.value)
    with pytest.raises(WeightsError, match=r"1 unknown \(backbone.block1.0.attn.gate\)"):
        detect(whole | {"backbone.block1.0.attn.gate": (3,)}, "the file")
    with pytest.raises(WeightsError, match=r"1 of another shape \(backbone.block1.0.mlp.fc2.bias is \(33,\), expected \(32,\)\)"):
        detect(whole | {"backbone.block1.0.mlp.fc2.bias": (33,)}, "the file")


def test_conv_seg_is_dead_in_nvlabs_and_the_classifier_in_mmseg():
    dead = detect(listed_shapes("nvlabs_seg_b0"), "the file")
    assert set(dead.dropped) == {"decode_head.conv_seg.weight", "decode_head.conv_seg.bias"}
    assert all("never computes with it" in why for why in dead.dropped.values())
    advice = "convert_model --drop_head writes the encoder alone"
    with pytest.raises(WeightsError, match=f"mmsegmentation's head is another function.*{advice}"):
        detect(listed_shapes("mmseg_seg_b0"), "the file")
    alive = detect(listed_shapes("mmseg_seg_b0"), "the file", drop_head=True)
    assert alive.architecture == ENCODER and "decode_head.conv_seg.weight" in alive.dropped


def test_counters_stay_without_an_axis(tmp_path):
    weights = weights_of(tmp_path, SEGMENTER)
    arrays = exported(weights, plan_writing(weights, tmp_path / "x.pth", "nvlabs"))
    counter = arrays["decode_head.linear_fuse.bn.num_batches_tracked"]
    assert counter.shape == () and counter.dtype == np.int64 and counter > 0


def test_the_model_zoos_wider_decoder_goes_everywhere(tmp_path):
    wide = segmenter("b1", decoder_width=512)
    weights = read(saved(tmp_path / "zoo.safetensors", foreign_arrays(ZOO, wide)))
    assert weights.architecture == wide and weights.numerics == "zoo"
    for family in ("hf", "smp", "nvlabs", "canonical"):
        written = exported(weights, plan_writing(weights, tmp_path / "x.pth", family))
        again = read(saved(tmp_path / "x.safetensors", written))
        assert again.architecture == wide
        assert_equal_arrays({name: again.atoms[name] for name in weights.atoms}, weights.atoms)


def test_a_bias_of_the_fusion_is_kept_where_it_has_a_place_and_folded_elsewhere(tmp_path):
    arrays = foreign_arrays(TAO, SEGMENTER)
    arrays["decoder.linear_fuse.1.running_var"] = np.abs(arrays["decoder.linear_fuse.1.running_var"])
    weights = read(saved(tmp_path / "tao.safetensors", arrays))
    kept = read(write_canonical(tmp_path, weights))
    assert np.array_equal(kept.atoms["decode_head.linear_fuse.conv.bias"], arrays["decoder.linear_fuse.0.bias"])
    mean, bias = arrays["decoder.linear_fuse.1.running_mean"], arrays["decoder.linear_fuse.0.bias"]
    assert np.array_equal(network_arrays(kept)["decode_head.linear_fuse.bn.running_mean"], mean - bias)
    planned = plan_writing(weights, tmp_path / "x.pth", "nvlabs")
    assert "the fusion's bias is folded into BatchNorm's mean" in planned.dropped
    assert np.array_equal(exported(weights, planned)["decode_head.linear_fuse.bn.running_mean"], mean - bias)


def test_other_shapes_than_the_papers_convert(tmp_path):
    """Any widths and depths, five input channels: all are read off the arrays."""
    from segformer_core.weights.architecture import Architecture

    network = Architecture((16, 48, 80, 96), (1, 2, 3, 1), 5, 40, 7)
    arrays = foreign_arrays(TRANSFORMERS_5, network)
    weights = read(saved(tmp_path / "custom.safetensors", arrays))
    assert weights.architecture == network and network.variant == "custom"
    assert_equal_arrays(exported(weights, plan_writing(weights, tmp_path / "x.pth", "hf5")), arrays)


def test_wrappers_and_copies(tmp_path):
    whole = foreign_arrays(NVLABS, SEGMENTER)
    for prefix in ("module.", "_orig_mod.", "model.", "model.module.", "model.segmentor."):
        weights = read(saved(tmp_path / "wrapped.safetensors", {prefix + name: array for name, array in whole.items()}))
        assert weights.architecture == SEGMENTER and not weights.dropped
    other = foreign_arrays(NVLABS, SEGMENTER, seed=1)
    both = {f"model.{name}": array for name, array in whole.items()} | {
        f"ema_model.{name}": array for name, array in other.items()
    }
    path = saved(tmp_path / "both.safetensors", both)
    name = "stages.0.norm.bias"
    assert np.array_equal(read(path).atoms[name], whole["backbone.norm1.bias"])
    (reason,) = set(read(path).dropped.values())
    assert reason.startswith("another copy, below ema_model; --part ema_model (convert_model) or --ckpt_part ema_model ")
    assert np.array_equal(read(path, part="ema_model").atoms[name], other["backbone.norm1.bias"])
    del both["model.backbone.norm1.bias"]
    with pytest.raises(WeightsError, match=r"1 missing \(backbone.norm1.bias\)"):
        read(saved(tmp_path / "damaged.safetensors", both))


def test_another_head_is_left_out_on_request_only(tmp_path):
    arrays = dict(foreign_arrays(NVLABS, ENCODER))
    arrays["decode_head.embed_layers.0.proj.weight"] = np.ones((8, 32), np.float32)
    path = saved(tmp_path / "daformer.safetensors", arrays)
    with pytest.raises(WeightsError, match=r"its decode head is incomplete or another function .*embed_layers.*--drop_head"):
        read(path)
    weights = read(path, drop_head=True)
    assert weights.architecture == ENCODER and list(weights.dropped) == ["decode_head.embed_layers.0.proj.weight"]


def test_a_target_without_a_place_says_so(tmp_path):
    weights = weights_of(tmp_path, SEGMENTER)
    for family in ("timm", "mmseg"):
        with pytest.raises(WeightsError, match="has no place for the decode head; --drop_head writes the encoder alone"):
            plan_writing(weights, tmp_path / "x.pth", family)
        encoder = plan_writing(weights, tmp_path / "x.pth", family, drop_head=True)
        assert encoder.architecture == ENCODER and "the head, as asked" in encoder.dropped
    classifier = weights_of(tmp_path, CLASSIFIER)
    assert plan_writing(classifier, tmp_path / "x.pth", "timm").dialect is TIMM
    assert any("ImageNet classifier" in sentence for sentence in plan_writing(classifier, tmp_path / "x.pth", "smp").dropped)
