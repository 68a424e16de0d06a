"""Rung 6, layouts: where dialects order, stack or transpose an array in another way, its numbers keep their place."""

import numpy as np

from parity_tests.support import check_exact_control
from parity_tests.weights.weight_files import architecture, foreign_arrays, saved, weights_of
from segformer_core.weights.dialects import NVLABS, PADDLE, TRANSFORMERS_4
from segformer_core.weights.reading import read
from segformer_core.weights.writing import exported, plan_writing

SEGMENTER = architecture("b0", class_count=19, decoder_width=256)


def test_keys_come_before_values():
    """NVlabs stacks k and v, transformers names them: only values show the order, shapes do not."""
    arrays = foreign_arrays(TRANSFORMERS_4, SEGMENTER)
    packed = rewritten(arrays, NVLABS)["backbone.block2.1.attn.kv.weight"]
    keys, values = (arrays[f"segformer.encoder.block.1.1.attention.self.{part}.weight"] for part in ("key", "value"))
    assert np.array_equal(packed, np.concatenate([keys, values]))
    check_exact_control("a file's keys taken for its values", float(np.abs(packed[64:] - keys).max()), "arrays of a file")


def test_square_matrices_are_transposed_where_the_layout_is():
    arrays = foreign_arrays(PADDLE, SEGMENTER)
    ours = rewritten(arrays, NVLABS)
    for name in ("q", "proj"):
        square = arrays[f"backbone.block3.0.attn.{name}.weight"]
        assert square.shape[0] == square.shape[1]
        assert np.array_equal(ours[f"backbone.block3.0.attn.{name}.weight"], square.T)
    kv = arrays["backbone.block3.0.attn.kv.weight"]
    assert np.array_equal(ours["backbone.block3.0.attn.kv.weight"], kv.T), "stacked along axis 1 there"


def test_keras_layouts_are_told_apart(tmp_path):
    """HWIO, and a depthwise kernel that is (3, 3, C, 1) in keras-hub and (3, 3, 1, C) in transformers' TensorFlow."""
    weights = weights_of(tmp_path, SEGMENTER)
    ours = weights.atoms["stages.0.blocks.0.mlp.dwconv.weight"]
    keras = exported(weights, plan_writing(weights, tmp_path / "x.h5", "keras"))
    kernel = keras["layers/seg_former_backbone/layers/functional/layers/hierarchical_transformer_encoder/mlp/dwconv/vars/0"]
    assert kernel.shape == (3, 3, 128, 1) and np.array_equal(kernel[1, 2, :, 0], ours[:, 0, 1, 2])
    tensorflow = exported(weights, plan_writing(weights, tmp_path / "x.h5", "tf"))
    block = "segformer/tf_segformer_for_semantic_segmentation/segformer/encoder/block.0.0"
    kernel = tensorflow[f"{block}/mlp/dwconv/dwconv/kernel:0"]
    assert kernel.shape == (3, 3, 1, 128) and np.array_equal(kernel[1, 2, 0], ours[:, 0, 1, 2])


def test_decoder_levels_keep_their_place(tmp_path):
    """Ours count from c1, smp's and Keras' from c4."""
    weights = weights_of(tmp_path, SEGMENTER)
    smp = exported(weights, plan_writing(weights, tmp_path / "x.pth", "smp"))
    assert np.array_equal(smp["decoder.mlp_stage.0.linear.weight"], weights.atoms["decode_head.linear_c.3.weight"])
    keras = exported(weights, plan_writing(weights, tmp_path / "x.h5", "keras"))
    name = "layers/seg_former_backbone/layers/dense/vars/0"
    assert np.array_equal(keras[name], weights.atoms["decode_head.linear_c.3.weight"].T)


def rewritten(arrays, dialect):
    """`arrays` of any dialect, rewritten in `dialect`."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        weights = read(saved(Path(folder) / "x.safetensors", arrays))
        return exported(weights, plan_writing(weights, Path(folder) / "x.pth", dialect.name))
