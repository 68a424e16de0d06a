"""Rung 6, other files and folders: safetensors, transformers, Keras, TensorFlow, PaddlePaddle; and the metadata in ours."""

import json
from importlib.metadata import version

import numpy as np
import pytest

from parity_tests.support import assert_close, hot_arrays, logits, random_images, torch_learner
from parity_tests.weights.weight_files import (
    architecture,
    assert_equal_arrays,
    foreign_arrays,
    loaded,
    random_arrays,
    saved,
    segmenter,
    weights_of,
)
from segformer_core.errors import WeightsError
from segformer_core.spec.model import segformer
from segformer_core.weights import containers
from segformer_core.weights.dialects import CANONICAL, KERAS_PRESET, NVLABS, PADDLE, TENSORFLOW, TRANSFORMERS_4
from segformer_core.weights.reading import read
from segformer_core.weights.store import save_weights
from segformer_core.weights.writing import exported, plan_writing, write

SEGMENTER = segmenter("b0")


def test_safetensors_library_reads_what_we_write(tmp_path):
    import safetensors.numpy

    weights = weights_of(tmp_path, SEGMENTER)
    path = tmp_path / "x.safetensors"
    planned = plan_writing(weights, path)
    write(weights, path, planned)
    assert_equal_arrays(safetensors.numpy.load_file(path), exported(weights, planned))


@pytest.mark.compares("torch", "transformers")
@pytest.mark.parametrize("variant", ["b0", "b2"])
def test_transformers_loads_our_folder_and_computes_our_logits(variant, tmp_path, need_torch):
    import torch
    from transformers import SegformerForSemanticSegmentation

    spec = segformer(variant, numerics="hf")
    save_weights(tmp_path / "x.safetensors", spec, hot_arrays(spec))
    weights = read(tmp_path / "x.safetensors")
    write(weights, tmp_path / "folder", plan_writing(weights, tmp_path / "folder"))
    model, info = SegformerForSemanticSegmentation.from_pretrained(tmp_path / "folder", output_loading_info=True)
    assert not any(info.values()), info
    images = random_images(1, 96, 160)
    with torch.no_grad():
        got = model.eval()(torch.from_numpy(images)).logits.numpy()
    assert_close(variant, got, logits(torch_learner(spec, hot_arrays(spec)), images), "logits")


def test_what_transformers_saves_reads_back_bit_for_bit(tmp_path, need_torch):
    from transformers import SegformerConfig, SegformerForImageClassification, SegformerForSemanticSegmentation, SegformerModel

    config = SegformerConfig(num_labels=19)
    kinds = {SegformerForSemanticSegmentation: SEGMENTER, SegformerForImageClassification: architecture("b0", image_classes=19)}
    forms = [{}, {"max_shard_size": "3MB"}]
    if version("transformers").startswith("4."):
        forms.append({"safe_serialization": False})  # version 5 writes safetensors alone
    for kind, network in {**kinds, SegformerModel: architecture("b0")}.items():
        model = kind(config)
        for options in forms:
            folder = tmp_path / f"{kind.__name__}{len(options)}{list(options)}"
            model.save_pretrained(folder, **options)
            if not options:
                wanted = loaded(folder / "model.safetensors")
            weights = read(folder)
            assert weights.architecture == network and weights.numerics == "hf"
            assert_equal_arrays(exported(weights, plan_writing(weights, tmp_path / "new")), wanted)


def test_preset_of_two_files(tmp_path):
    arrays = foreign_arrays(KERAS_PRESET, SEGMENTER)
    weights = read(saved(tmp_path / "x.safetensors", arrays))
    write(weights, tmp_path / "preset", plan_writing(weights, tmp_path / "preset", "keras_preset"))
    assert {path.name for path in (tmp_path / "preset").glob("*.h5")} == {"model.weights.h5", "task.weights.h5"}
    assert set(loaded(tmp_path / "preset/task.weights.h5")) == {"layers/conv2d/vars/0", "layers/conv2d/vars/1"}
    again = read(tmp_path / "preset")
    assert_equal_arrays(again.atoms, weights.atoms)
    assert [path.name for path in again.files] == ["model.weights.h5", "task.weights.h5"], "each is hashed once"


def test_tensorflows_file_lists_its_layers(tmp_path):
    import h5py

    weights = read(saved(tmp_path / "x.safetensors", foreign_arrays(TENSORFLOW, SEGMENTER)))
    write(weights, tmp_path / "tf_model.h5", plan_writing(weights, tmp_path / "tf_model.h5", "tf"))
    with h5py.File(tmp_path / "tf_model.h5") as file:
        layers = list(file.attrs["layer_names"])
        listed = [f"{layer}/{name}" for layer in layers for name in file[layer].attrs["weight_names"]]
        assert sorted(layers) == ["decode_head", "segformer"] and sorted(listed) == sorted(loaded(tmp_path / "tf_model.h5"))


def test_paddles_file_is_a_pickle_of_numpy_arrays(tmp_path):
    import pickle

    arrays = foreign_arrays(PADDLE, SEGMENTER)
    for protocol in (2, 4, 5):
        (tmp_path / "x.pdparams").write_bytes(pickle.dumps({**arrays, "StructuredToParameterName@@": {"a": "b"}}, protocol))
        assert_equal_arrays(loaded(tmp_path / "x.pdparams"), arrays)
    weights = read(tmp_path / "x.pdparams")
    write(weights, tmp_path / "y.pdparams", plan_writing(weights, tmp_path / "y.pdparams"))
    written = pickle.loads((tmp_path / "y.pdparams").read_bytes())
    assert set(written.pop("StructuredToParameterName@@")) == set(arrays)
    assert_equal_arrays(written, arrays)


def test_shards_follow_their_index(tmp_path):
    arrays = foreign_arrays(TRANSFORMERS_4, SEGMENTER)
    names = list(arrays)
    parts = {"a.safetensors": names[:50], "b.safetensors": names[50:]}
    for file, part in parts.items():
        saved(tmp_path / file, {name: arrays[name] for name in part})
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, part in parts.items() for name in part}}))
    assert_equal_arrays(loaded(tmp_path), arrays)
    assert_equal_arrays(loaded(index), arrays)
    index.write_text(json.dumps({"weight_map": {names[0]: "b.safetensors"}}))
    with pytest.raises(WeightsError, match="which does not hold it"):
        read(tmp_path)
    index.write_text(json.dumps({"weight_map": {names[0]: "../b.safetensors"}}))
    with pytest.raises(WeightsError, match="expected files beside the index"):
        read(tmp_path)


def test_provenance_travels(tmp_path):
    import hashlib

    path = saved(tmp_path / "source.safetensors", foreign_arrays(NVLABS, SEGMENTER) | {"decode_head.conv_seg.bias": np.ones(19)})
    weights = read(path, numerics="hf")
    write(weights, tmp_path / "ours.safetensors", plan_writing(weights, tmp_path / "ours.safetensors"))
    with containers.opened(tmp_path / "ours.safetensors") as content:
        metadata = content.metadata
    assert metadata["numerics"] == "hf" and metadata["variant"] == "b0" and metadata["decoder_width"] == "256"
    assert metadata["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert metadata["source_format"] == "NVlabs/SegFormer (safetensors)" and metadata["source"] == "source.safetensors"
    assert "never computes with it: 1" in metadata["dropped"]
    again = read(tmp_path / "ours.safetensors")
    assert again.numerics == "hf" and again.numerics_stated and again.dialect is CANONICAL


def test_random_arrays_are_distinct():
    """What the comparisons above rest on."""
    values = random_arrays({"a": (3,), "b": (3,)})
    assert not np.array_equal(values["a"], values["b"])
