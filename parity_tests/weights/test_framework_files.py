"""Rung 6, files of PyTorch and MindSpore: read without the framework, and our files read by it, bit for bit."""

import subprocess
import sys
import time

import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.support import hot_arrays, logits, mindspore_learner, random_images, torch_learner
from parity_tests.weights.weight_files import as_torch, assert_equal_arrays, foreign_arrays, loaded, saved, segmenter, weights_of
from segformer_core.spec.model import segformer
from segformer_core.weights.containers.stored import encoded, from_bytes
from segformer_core.weights.dialects import NVLABS
from segformer_core.weights.loading import load_weights
from segformer_core.weights.reading import network_arrays, read
from segformer_core.weights.store import save_weights
from segformer_core.weights.writing import exported, plan_writing, write

SEGMENTER = segmenter("b0")


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
    """Each number is rounded once, as torch rounds, then widened without a change."""
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
    """NVlabs .pth -> MindSpore .ckpt -> .pth by the original repository's flags: equal bits, equal logits in each twin."""
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


@pytest.mark.parametrize("name", ["x.ckpt", "x.pth", "x.pdparams", "x.safetensors", "x.h5"])
def test_arrays_of_a_file_have_the_native_type(name, tmp_path):
    """MindSpore 2.7 refuses a type that states its byte order, although it is the machine's."""
    weights = weights_of(tmp_path, segmenter())
    write(weights, tmp_path / name, plan_writing(weights, tmp_path / name))
    arrays = network_arrays(read(tmp_path / name))
    assert {memoryview(array).format for array in arrays.values()} == {"f"}


def convert(*arguments: str) -> str:
    process = subprocess.run(
        [sys.executable, "tools/convert_model.py", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return process.stdout


def test_b5_converts_quickly_in_little_memory(tmp_path, need_torch):
    import torch

    network = segmenter("b5")
    arrays = foreign_arrays(NVLABS, network)
    torch.save(as_torch(arrays), tmp_path / "b5.pth")
    size = (tmp_path / "b5.pth").stat().st_size
    del arrays
    program = (
        "import sys; from segformer_core.cli import program; program(['convert_model', *sys.argv[1:]]); "
        "print([line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1])"
    )
    for target in ("b5.ckpt", "b5.safetensors", "folder"):
        start = time.perf_counter()
        command = [sys.executable, "-c", program, tmp_path / "b5.pth", tmp_path / target]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        seconds, peak = time.perf_counter() - start, 1024 * int(process.stdout.split()[-1])
        print(f"{target}: {seconds:.1f} s, peak {peak / size:.2f} times the file")
        assert seconds <= 10 and peak <= 3 * size
