"""Layouts that public files have besides those of the live models: each is read bit for bit."""

import pytest

from parity_tests.weights.weight_files import architecture, assert_equal_arrays, foreign_arrays, saved, segmenter
from segformer_core.weights.containers import hdf5_file
from segformer_core.weights.dialect import entries, put
from segformer_core.weights.dialects import (
    NVLABS,
    REIMPLEMENTATIONS,
    TENSORFLOW,
    TENSORFLOW_BASE,
    TENSORFLOW_CLASSIFIER,
    TENSORFLOW_SHARED,
)
from segformer_core.weights.reading import read
from segformer_core.weights.writing import exported, plan_writing

SEGMENTER, CLASSIFIER, ENCODER = segmenter("b0"), architecture("b0", image_classes=1000), architecture("b0")

HEAD_NAMES = (
    ("linear_c1.proj.weight", "linear_fuse.0.weight", "linear_fuse.1.running_mean"),
    ("linear_c1.weight", "linear_fuse.conv.weight", "linear_fuse.bn.running_mean"),
    ("linear_c1.weight", "linear_fuse.0.weight", "linear_fuse.1.running_mean"),
    ("linear_c1.weight", "linear_fuse.conv.weight", "linear_fuse.bn.running_mean"),
    ("linear_c1.weight", "linear_fuse.0.weight", "linear_fuse.1.running_mean"),
)
SEEN = {
    # dialect: the network, some of its names
    **{
        dialect.title: (dialect, SEGMENTER, {f"decode_head.{name}" for name in names})
        for dialect, names in zip(REIMPLEMENTATIONS, HEAD_NAMES, strict=True)
    },
    "tf_model.h5 of a segmenter": (
        TENSORFLOW,
        SEGMENTER,
        {"decode_head/tf_segformer_for_semantic_segmentation/decode_head/linear_c.0/proj/kernel:0"},
    ),
    "tf_model.h5 of a classifier": (
        TENSORFLOW_CLASSIFIER,
        CLASSIFIER,
        {
            "classifier/tf_segformer_for_image_classification/classifier/kernel:0",
            "segformer/tf_segformer_for_image_classification/segformer/encoder/block.0.1/mlp/dense1/bias:0",
        },
    ),
    "tf_model.h5 of an encoder": (
        TENSORFLOW_BASE,
        ENCODER,
        {"segformer/tf_segformer_model/segformer/encoder/layer_norm.3/gamma:0"},
    ),
    "model.safetensors of a segmenter": (TENSORFLOW_SHARED, SEGMENTER, {"decode_head/linear_c.0/proj/kernel:0"}),
    "model.safetensors of a classifier": (
        TENSORFLOW_SHARED,
        CLASSIFIER,
        {"classifier/kernel:0", "segformer/encoder/patch_embeddings.0/proj/kernel:0"},
    ),
}


@pytest.mark.parametrize("prefix", ["", "model.", "state_dict.net."])
@pytest.mark.parametrize("case", SEEN)
def test_every_array_is_read_bit_for_bit(case, prefix, tmp_path):
    dialect, network, names = SEEN[case]
    arrays = foreign_arrays(dialect, network)
    assert names <= arrays.keys()
    weights = read(saved(tmp_path / "x.safetensors", {prefix + name: array for name, array in arrays.items()}))
    assert weights.architecture == network and not weights.dropped
    assert weights.numerics == dialect.numerics
    again = {name: put(dialect, entry, weights.atoms) for name, entry in entries(dialect, network).items()}
    assert_equal_arrays(again, arrays)


def test_a_head_without_the_optional_bias_is_whole(tmp_path):
    for dialect in REIMPLEMENTATIONS:
        arrays = foreign_arrays(dialect, SEGMENTER)
        biases = [name for name in arrays if "linear_fuse" in name and name.endswith((".0.bias", ".conv.bias"))]
        assert len(biases) == 1
        del arrays[biases[0]]
        assert read(saved(tmp_path / "x.safetensors", arrays)).architecture == SEGMENTER


def test_what_is_written_as_nvlabs_has_the_papers_names(tmp_path):
    for dialect in REIMPLEMENTATIONS:
        weights = read(saved(tmp_path / "x.safetensors", foreign_arrays(dialect, SEGMENTER)))
        written = exported(weights, plan_writing(weights, tmp_path / "x.pth", "nvlabs"))
        assert written.keys() == entries(NVLABS, SEGMENTER).keys() | {
            f"decode_head.conv_seg.{leaf}" for leaf in ("weight", "bias")
        }


@pytest.mark.parametrize("case", ["tf_model.h5 of a segmenter", "tf_model.h5 of a classifier", "tf_model.h5 of an encoder"])
@pytest.mark.parametrize("number", ["", "_1", "_12"])
def test_keras_counts_the_models_of_a_process(case, number, tmp_path):
    """The second model of a class in one process is tf_…_1; its layers keep their names."""
    dialect, network, _ = SEEN[case]
    arrays = foreign_arrays(dialect, network)
    parts = {name: name.split("/") for name in arrays}
    counted = {"/".join([layer, model + number, *rest]): arrays[name] for name, (layer, model, *rest) in parts.items()}
    hdf5_file.write(tmp_path / "tf_model.h5", counted, "float32")
    weights = read(tmp_path)
    assert weights.architecture == network and weights.dialect is dialect
    written = exported(weights, plan_writing(weights, tmp_path / "y.h5", "tf"))
    assert_equal_arrays(written, arrays)


def test_dialects_that_read_alike_are_no_doubt(tmp_path):
    """An encoder has the same names in the paper's code, in its re-implementations and in TAO."""
    encoder = {name: array for name, array in foreign_arrays(NVLABS, SEGMENTER).items() if name.startswith("backbone.")}
    for prefix in ("", "model."):
        weights = read(saved(tmp_path / "x.safetensors", {prefix + name: array for name, array in encoder.items()}))
        assert weights.dialect is NVLABS and weights.architecture == ENCODER


def test_two_ways_to_lay_out_a_square_matrix_are_told_apart(tmp_path):
    """A 1×1 convolution and a linear layer of one name differ in their axes alone."""
    levels, convolutions = REIMPLEMENTATIONS[1], REIMPLEMENTATIONS[3]
    for dialect in (levels, convolutions):
        weights = read(saved(tmp_path / "x.safetensors", foreign_arrays(dialect, SEGMENTER)))
        assert weights.dialect is dialect
        assert weights.atoms["decode_head.linear_c.3.weight"].shape == (256, 256)
