"""Rung 6, files: every form is read without the framework that wrote it, and what we write its framework reads, bit for bit."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.support import assert_close, hot_arrays, logits, mindspore_learner, random_images, torch_learner
from parity_tests.weights.weight_files import (
    architecture,
    assert_equal_arrays,
    foreign_arrays,
    random_arrays,
    saved,
    segmenter,
    weights_of,
)
from segformer_core.errors import WeightsError
from segformer_core.spec.model import segformer
from segformer_core.weights import containers
from segformer_core.weights.containers.stored import Stored, encoded, from_bytes
from segformer_core.weights.dialects import CANONICAL, KERAS_PRESET, NVLABS, PADDLE, TENSORFLOW, TRANSFORMERS_4
from segformer_core.weights.loading import load_weights
from segformer_core.weights.reading import network_arrays, read
from segformer_core.weights.store import save_weights
from segformer_core.weights.writing import exported, plan_writing, write

SEGMENTER = segmenter("b0")


def loaded(path: Path) -> dict[str, np.ndarray]:
    """The arrays at the top of a file."""
    with containers.opened(path) as content:
        return {name: np.array(stored.load()) for name, stored in content.tree.items() if isinstance(stored, Stored)}


def as_torch(arrays):
    import torch

    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saves_is_read_without_torch(zipped, tmp_path, need_torch):
    import torch

    arrays = foreign_arrays(NVLABS, SEGMENTER)
    tensors = as_torch(arrays)
    square = arrays["backbone.block1.0.attn.q.weight"]
    tensors["backbone.block1.0.attn.q.weight"] = torch.from_numpy(square.T.copy()).T  # strided
    tensors["backbone.norm1.bias"] = torch.nn.Parameter(tensors["backbone.norm1.bias"])
    pair = torch.stack([tensors["backbone.norm1.weight"].detach(), tensors["backbone.norm1.bias"].detach()])
    tensors["backbone.norm1.weight"], tensors["backbone.norm1.bias"] = pair[0], pair[1]  # one storage
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3), "step": 5}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.99)}]}
    whole = {"meta": {"CLASSES": ("road",), "epoch": 3}, "state_dict": tensors, "optimizer": optimizer, "best": np.float64(0.5)}
    torch.save(whole, tmp_path / "trained.pth", _use_new_zipfile_serialization=zipped)
    program = (
        "import sys, numpy; from segformer_core.weights.reading import read; w = read(sys.argv[1]); "
        "assert 'torch' not in sys.modules and 'mindspore' not in sys.modules; numpy.savez(sys.argv[2], **w.atoms)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "trained.pth", tmp_path / "read.npz"], cwd=ROOT, check=True)
    weights = read(saved(tmp_path / "plain.safetensors", arrays))
    assert_equal_arrays(dict(np.load(tmp_path / "read.npz")), weights.atoms)


def test_torch_reads_what_we_write(tmp_path, need_torch):
    import torch

    weights = weights_of(tmp_path, SEGMENTER)
    planned = plan_writing(weights, tmp_path / "x.pth")
    write(weights, tmp_path / "x.pth", planned)
    state = torch.load(tmp_path / "x.pth", weights_only=True)
    assert_equal_arrays({name: tensor.numpy() for name, tensor in state.items()}, exported(weights, planned))
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in state.values())


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".ckpt"])
def test_every_type_reads_back_as_written(suffix, dtype, tmp_path, need_torch):
    """Rounded once as torch rounds, then widened without a change."""
    import torch

    weights = weights_of(tmp_path, SEGMENTER)
    path = tmp_path / f"x{suffix}"
    write(weights, path, plan_writing(weights, path), dtype)
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    again = read(path)
    assert again.atoms.keys() == weights.atoms.keys()
    for name, array in weights.atoms.items():
        want = torch.from_numpy(np.array(array))
        assert torch.equal(torch.from_numpy(np.array(again.atoms[name])), want.to(kind).float() if array.shape else want), name


def test_bfloat16_rounds_as_torch_does(need_torch):
    import torch

    bits = np.concatenate([np.arange(0, 2**32, 65537), [0x3F808000, 0x3F818000, 0x7F7FFFFF, 0x7F800000, 0xFF800000]])
    values = bits.astype(np.uint32).view(np.float32)
    raw, _ = encoded(values, "bfloat16")
    got = from_bytes(raw.tobytes(), "bfloat16", values.shape)
    want = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
    assert np.array_equal(got[~np.isnan(want)], want[~np.isnan(want)]) and np.isnan(got[np.isnan(want)]).all()


def test_safetensors_library_reads_what_we_write(tmp_path):
    import safetensors.numpy

    weights = weights_of(tmp_path, SEGMENTER)
    path = tmp_path / "x.safetensors"
    planned = plan_writing(weights, path)
    write(weights, path, planned)
    assert_equal_arrays(safetensors.numpy.load_file(path), exported(weights, planned))


def test_mindspore_reads_what_we_write(tmp_path, need_mindspore):
    import mindspore

    from backend_mindspore.learner import canonical_parameters
    from backend_mindspore.model import SegFormer

    spec = segformer("b0")
    save_weights(tmp_path / "x.safetensors", spec, hot_arrays(spec))
    weights = read(tmp_path / "x.safetensors")
    write(weights, tmp_path / "x.ckpt", plan_writing(weights, tmp_path / "x.ckpt"))
    network = SegFormer(spec)
    parameters = mindspore.load_checkpoint(str(tmp_path / "x.ckpt"))
    missing, unexpected = mindspore.load_param_into_net(network, parameters)
    assert not missing and not unexpected
    arrays = {name: parameter.asnumpy() for name, parameter in canonical_parameters(spec, network).items()}
    assert_equal_arrays(arrays, hot_arrays(spec))


@pytest.mark.parametrize("checked", [False, True])
def test_what_mindspore_saves_is_read_without_mindspore(checked, tmp_path, need_mindspore):
    import mindspore

    spec = segformer("b0")
    learner = mindspore_learner(spec, hot_arrays(spec))
    extra = {"epoch_num": 3, "step_num": mindspore.Tensor(7)}
    mindspore.save_checkpoint(learner.model, str(tmp_path / "x.ckpt"), append_dict=extra, crc_check=checked)
    weights = read(tmp_path / "x.ckpt")
    assert weights.dialect.name == "mindspore" and set(weights.dropped) == set(extra)
    assert_equal_arrays(network_arrays(weights), hot_arrays(spec))


def test_mindspores_types_and_large_arrays(tmp_path, need_mindspore, monkeypatch):
    """fp16, bfloat16, and an array that MindSpore cuts into slices of one name."""
    import mindspore
    from mindspore.train import serialization

    monkeypatch.setattr(serialization, "SLICE_SIZE", 1)  # KiB
    values = np.random.default_rng(0).standard_normal((300, 7)).astype(np.float32)
    kinds = {"half": mindspore.float16, "brain": mindspore.bfloat16, "whole": mindspore.float32}
    tensors = [{"name": name, "data": mindspore.Tensor(values).astype(kind)} for name, kind in kinds.items()]
    mindspore.save_checkpoint(tensors, str(tmp_path / "x.ckpt"))
    got = loaded(tmp_path / "x.ckpt")
    assert np.array_equal(got["whole"], values) and np.array_equal(got["half"], values.astype(np.float16))
    assert np.array_equal(got["brain"], from_bytes(encoded(values, "bfloat16")[0].tobytes(), "bfloat16", values.shape))


def test_circle_from_torch_through_mindspore_and_back(tmp_path, need_torch, need_mindspore):
    """NVlabs .pth -> MindSpore .ckpt -> .pth by the seed's command: equal bits, and both twins give the same logits from both."""
    import torch

    spec = segformer("b0")
    save_weights(tmp_path / "hot.safetensors", spec, hot_arrays(spec))
    hot = read(tmp_path / "hot.safetensors")
    arrays = exported(hot, plan_writing(hot, tmp_path / "a.pth"))
    arrays["decode_head.linear_fuse.bn.num_batches_tracked"] = np.array(160000)
    torch.save({"state_dict": as_torch(arrays)}, tmp_path / "a.pth")
    convert(f"--pt_model_path={tmp_path}/a.pth", f"--ms_model_path={tmp_path}/b.ckpt")
    convert(f"--pt_model_path={tmp_path}/c.pth", f"--ms_model_path={tmp_path}/b.ckpt", "--to_pt")
    back = torch.load(tmp_path / "c.pth", weights_only=True)
    assert_equal_arrays({name: tensor.numpy() for name, tensor in back.items()}, arrays)
    images = random_images(1, 64, 96)
    for learner_of in (torch_learner, mindspore_learner):
        results = [logits(learner_of(spec, load_weights(str(tmp_path / name), spec)[0]), images) for name in ("a.pth", "b.ckpt")]
        assert np.array_equal(*results)


def convert(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "tools/convert_model.py", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


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
    for kind, network in {**kinds, SegformerModel: architecture("b0")}.items():
        model = kind(config)
        for options in ({}, {"max_shard_size": "3MB"}, {"safe_serialization": False}):
            folder = tmp_path / f"{kind.__name__}{len(options)}{list(options)}"
            model.save_pretrained(folder, **options)
            weights = read(folder)
            assert weights.architecture == network and weights.numerics == "hf"
            written = exported(weights, plan_writing(weights, tmp_path / "new"))
            assert_equal_arrays(written, {name: tensor.numpy() for name, tensor in model.state_dict().items()})


def test_preset_of_two_files(tmp_path):
    arrays = foreign_arrays(KERAS_PRESET, SEGMENTER)
    weights = read(saved(tmp_path / "x.safetensors", arrays))
    write(weights, tmp_path / "preset", plan_writing(weights, tmp_path / "preset", "keras_preset"))
    assert {path.name for path in (tmp_path / "preset").iterdir()} == {"model.weights.h5", "task.weights.h5"}
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


def test_b5_converts_quickly_in_little_memory(tmp_path, need_torch):
    import torch

    network = segmenter("b5")
    arrays = foreign_arrays(NVLABS, network)
    torch.save(as_torch(arrays), tmp_path / "b5.pth")
    size = (tmp_path / "b5.pth").stat().st_size
    del arrays
    program = (
        "import sys; from segformer_core.cli import segformer; segformer(['convert_model', *sys.argv[1:]]); "
        "print([line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1])"
    )
    for target in ("b5.ckpt", "b5.safetensors", "folder"):
        start = time.perf_counter()
        command = [sys.executable, "-c", program, tmp_path / "b5.pth", tmp_path / target]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        seconds, peak = time.perf_counter() - start, 1024 * int(done.stdout.split()[-1])
        print(f"{target}: {seconds:.1f} s, peak {peak / size:.2f} times the file")
        assert seconds <= 10 and peak <= 3 * size


def test_random_arrays_are_distinct():
    """What the comparisons above rest on."""
    values = random_arrays({"a": (3,), "b": (3,)})
    assert not np.array_equal(values["a"], values["b"])
