"""Users' mistakes with sound files: wrong weights, wrong commands, full disks; one sentence, exit code 2, nothing lost."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.weights.weight_files import (
    architecture,
    assert_equal_arrays,
    foreign_arrays,
    listed_shapes,
    random_arrays,
    saved,
    segmenter,
)
from segformer_core.commands.convert_model import main
from segformer_core.errors import UserError, WeightsError
from segformer_core.weights.containers import torch_file
from segformer_core.weights.dialects import NVLABS, NVLABS_BACKBONE, TIMM
from segformer_core.weights.reading import read
from segformer_core.weights.writing import plan_writing, write

SEGMENTER = segmenter("b0")


@pytest.mark.parametrize("kind", ["int8", "uint8", "bool", "int64"])
def test_a_type_that_is_no_float(kind, tmp_path):
    arrays = foreign_arrays(NVLABS, SEGMENTER)
    arrays["backbone.norm1.weight"] = arrays["backbone.norm1.weight"].astype(kind)
    with pytest.raises(WeightsError, match=rf"backbone.norm1.weight is of type {kind}; expected floats"):
        read(saved(tmp_path / "x.safetensors", arrays))


def test_nan_and_float64_are_warned_of(tmp_path):
    arrays = foreign_arrays(NVLABS, SEGMENTER)
    arrays["backbone.norm1.weight"][3] = np.nan
    arrays["backbone.norm2.weight"][3] = np.inf
    weights = read(saved(tmp_path / "x.safetensors", arrays))
    assert weights.warnings == ("2 arrays hold NaN or infinity, first backbone.norm1.weight: the network cannot work",)
    torch_file.write(tmp_path / "x.pth", foreign_arrays(NVLABS, SEGMENTER), "float64")
    assert read(tmp_path / "x.pth").warnings == ("191 arrays are float64 and become float32",)


def test_other_networks_are_refused_by_name(tmp_path):
    lucidrains = random_arrays(listed_shapes("lucidrains_b0like"))
    with pytest.raises(WeightsError, match="lucidrains/segformer-pytorch, another network"):
        read(saved(tmp_path / "x.safetensors", lucidrains))
    for dialect in (NVLABS_BACKBONE, TIMM):
        arrays = foreign_arrays(dialect, architecture("b2"))
        for name in [name for name in arrays if ".mlp.fc1.weight" in name]:
            arrays[name] = np.repeat(arrays[name], 2, axis=0)
        with pytest.raises(WeightsError, match="is a PVTv2-B0…B4 .* cannot be converted"):
            read(saved(tmp_path / "x.safetensors", arrays))


def test_an_existing_output_is_kept_unless_forced(tmp_path, capsys):
    path = saved(tmp_path / "x.safetensors", foreign_arrays(NVLABS, SEGMENTER))
    for name in ("out.ckpt", "folder/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("precious")
        target = str(tmp_path / name.partition("/")[0])
        with pytest.raises(UserError, match="exists and is kept; choose another name, or --force"):
            main([str(path), target])
        assert (tmp_path / name).read_text() == "precious"
        main([str(path), target, "--force"])
        assert_equal_arrays(read(target).atoms, read(path).atoms)


def test_a_full_disk_leaves_nothing_and_takes_nothing(tmp_path):
    """A limit on the size of files stands in for a full disk."""
    path = saved(tmp_path / "x.safetensors", foreign_arrays(NVLABS, SEGMENTER))
    (tmp_path / "out.ckpt").write_text("precious")
    program = (
        "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000)); sys.argv = sys.argv[1:]; "
        "runpy.run_path('tools/convert_model.py', run_name='__main__')"
    )
    for target in ("out.ckpt", "new.pth", "new.safetensors", "new.pdparams", "folder"):
        command = [sys.executable, "-c", program, "convert_model", str(path), str(tmp_path / target), "--force"]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert process.returncode == 2 and process.stderr.startswith(f"error: cannot write {tmp_path / target}: "), process.stderr
        assert process.stderr.count("\n") == 1
    assert (tmp_path / "out.ckpt").read_text() == "precious"
    left = {item.name for item in tmp_path.rglob("*")}
    assert left == {"x.safetensors", "out.ckpt"}


def test_values_beyond_fp16_are_refused(tmp_path):
    arrays = foreign_arrays(NVLABS, SEGMENTER)
    arrays["backbone.norm1.weight"][0] = 1e5
    path = saved(tmp_path / "x.safetensors", arrays)
    weights = read(path)
    with pytest.raises(WeightsError, match="stages.0.norm.weight holds values beyond 65504"):
        write(weights, tmp_path / "y.safetensors", plan_writing(weights, tmp_path / "y.safetensors"), "fp16")
    assert not (tmp_path / "y.safetensors").exists()
    write(weights, tmp_path / "y.safetensors", plan_writing(weights, tmp_path / "y.safetensors"), "bf16")


MISTAKES = {
    "nothing": ([], "expected INPUT OUTPUT, or --pt_model_path A.pth --ms_model_path B.ckpt"),
    "one path": (["{x}"], "expected INPUT OUTPUT"),
    "both spellings": (["{x}", "y.ckpt", "--pt_model_path", "{x}", "--ms_model_path", "z.ckpt"], "expected INPUT OUTPUT"),
    "half of the original repository's flags": (["--pt_model_path", "{x}"], "expected INPUT OUTPUT"),
    "no such file": (["nowhere.pth", "y.ckpt"], "no such weight file: nowhere.pth"),
    "unknown suffix": (["{x}", "y.npz"], "cannot tell what form y.npz should have"),
    "keras in a .pth": (["{x}", "y.pth", "--to", "keras"], "keras weights cannot be written as y.pth; expected a .h5 file"),
    "smp as a folder": (["{x}", "y", "--to", "smp"], "smp weights cannot be written as y; expected a file"),
    "another format": (["{x}", "y.ckpt", "--from", "zoo"], "x.safetensors is not recognised; nearest is the MindSpore model zoo"),
    "a part that is not there": (["{x}", "y.ckpt", "--part", "ema"], "has nothing below 'ema'"),
    "folder not writable": (["{x}", "/proc/y.ckpt"], "cannot write /proc/y.ckpt"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_the_command_are_one_sentence(mistake, tmp_path):
    arguments, sentence = MISTAKES[mistake]
    source = saved(tmp_path / "x.safetensors", foreign_arrays(NVLABS, SEGMENTER))
    command = [sys.executable, str(ROOT / "tools/convert_model.py"), *(word.format(x=source) for word in arguments)]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 2 and process.stderr.startswith("error: ") and process.stderr.count("\n") == 1, process.stderr
    assert sentence in process.stderr, process.stderr
    assert [item.name for item in tmp_path.iterdir()] == ["x.safetensors"]


def test_the_report_says_what_was_found_left_out_and_what_differs(tmp_path, capsys):
    arrays = random_arrays(listed_shapes("nvlabs_seg_b0"))
    path = saved(tmp_path / "x.safetensors", arrays)
    main([str(path), str(tmp_path / "y.ckpt"), "--to", "zoo", "--dry_run"])
    printed = capsys.readouterr().out
    for words in (
        "NVlabs/SegFormer (safetensors), MiT-B0 with a decode head of width 256 and 19 classes",
        "numerics: nvlabs",
        "left out: 2 arrays, NVlabs' decode head inherits it and never computes with it: decode_head.conv_seg.",
        "differs:  the MindSpore model zoo computes GELU by tanh, these weights' code by erf: up to 1e-3 in features",
        "would write",
    ):
        assert words in printed, printed
    assert not (tmp_path / "y.ckpt").exists()
    main([str(path), str(tmp_path / "folder")])
    assert "transformers computes LayerNorm with another eps (block 1e-05 for 1e-06, stage 1e-05" in capsys.readouterr().out
    main([str(path), str(tmp_path / "folder"), "--profile", "hf", "--force"])
    printed = capsys.readouterr().out
    assert "numerics: hf (stated)" in printed and "differs" not in printed


def test_hub_names_without_the_hub_say_what_to_download(monkeypatch, tmp_path):
    from segformer_core.weights.hub import local_path, stated_numerics

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    sentence = r"huggingface_hub: run pip install .* '.\[hub\]' in .*; or download config.json and .* from https://huggingface.co/nvidia/mit-b0/"
    with pytest.raises(WeightsError, match=sentence):
        local_path("hf:nvidia/mit-b0")
    assert local_path("a.pth") == Path("a.pth")
    assert stated_numerics("hf:nvidia/mit-b0") == "nvlabs" and stated_numerics("hf:someone/b0") == stated_numerics("a.pth") == ""


def test_hub_names_without_a_network_say_what_to_download(monkeypatch):
    import huggingface_hub

    from segformer_core.weights.hub import local_path

    def unreachable(*_, **__):
        raise OSError("no route to host\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(WeightsError, match=r"cannot fetch hf:nvidia/mit-b0 \(no route to host\); download config.json"):
        local_path("hf:nvidia/mit-b0")


def test_hub_names_are_fetched(monkeypatch, tmp_path):
    import huggingface_hub

    from segformer_core.weights.hub import local_path

    asked = []

    def fetch(name, allow_patterns):
        asked.append((name, allow_patterns[1]))
        if "bin" in allow_patterns[1]:
            (tmp_path / "pytorch_model.bin").write_bytes(b"x")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert local_path("hf:nvidia/mit-b0") == tmp_path
    assert asked == [("nvidia/mit-b0", "model*.safetensors*"), ("nvidia/mit-b0", "pytorch_model*.bin*")]
