"""Files that are no weights of a SegFormer as a whole: each is refused by a true sentence."""

import os

import numpy as np
import pytest

from parity_tests.weights.weight_files import foreign_arrays, saved, segmenter
from segformer_core.errors import WeightsError
from segformer_core.weights.dialects import NVLABS, TRANSFORMERS_4
from segformer_core.weights.reading import read

SEGMENTER = segmenter("b0")
NETWORK, HF = foreign_arrays(NVLABS, SEGMENTER), foreign_arrays(TRANSFORMERS_4, SEGMENTER)
QUERY = "segformer.encoder.block.0.0.attention.self.query"
small = np.zeros((4, 32), np.float32)

RESNET = {f"layer{stage}.{block}.conv{conv}.weight": small for stage in range(1, 5) for block in range(3) for conv in (1, 2)}
SWIN = {f"stages.{s}.blocks.{b}.attn.w_msa.qkv.weight": small for s in range(4) for b in range(6)}


def below(prefix, arrays):
    return {prefix + name: array for name, array in arrays.items()}


def wrapped_by_peft():
    inner = below("base_model.model.", HF)
    query = f"base_model.model.{QUERY}"
    inner[f"{query}.base_layer.weight"] = inner.pop(f"{query}.weight")
    return inner | {f"{query}.lora_A.default.weight": small, f"{query}.lora_B.default.weight": small}


OTHERS = {
    # what it is: the arrays, the sentence
    "a LoRA around the network": (wrapped_by_peft(), r"holds a LoRA that is not merged .*lora_A.*model.merge_and_unload\(\)"),
    "a LoRA alone": ({f"base_model.model.{QUERY}.lora_{side}.weight": small for side in "AB"}, "holds a LoRA that is not merged"),
    "a LoRA's parameters inside": (NETWORK | {"backbone.block1.0.attn.q.lora_A": small}, "holds a LoRA that is not merged"),
    "bitsandbytes in 8 bits": (HF | {f"{QUERY}.SCB": small[0]}, rf"is of a quantised model \({QUERY}.SCB\)"),
    "bitsandbytes in 4 bits": (HF | {f"{QUERY}.weight.absmax": small[0]}, "is of a quantised model"),
    "GPTQ": (HF | {f"{QUERY}.qweight": small}, "is of a quantised model"),
    "an optimizer's state": (
        {f"state.{index}.{name}": small for index in range(9) for name in ("exp_avg", "exp_avg_sq")},
        r"holds the state of an optimizer \(state.0.exp_avg\) and no network; name the file with the weights",
    ),
    "a SegFormer3D": (
        {"segformer_encoder.embed_1.patch_embeddings.weight": np.zeros((8, 4, 7, 7, 7), np.float32)},
        "is a SegFormer3D, a network for volumes",
    ),
    "a DeepLab": (
        below("backbone.", RESNET) | {"classifier.0.convs.0.0.weight": small, "classifier.4.weight": small},
        "does not hold the weights of any known SegFormer; its first names are: backbone.layer1.0.conv1.weight",
    ),
    "a UNet of smp": (
        below("encoder.", RESNET) | {"segmentation_head.0.weight": small, "segmentation_head.0.bias": small[0]},
        "does not hold the weights of any known SegFormer; its first names are: encoder.layer1",
    ),
    "a Swin with norms of our names": (
        below("backbone.", SWIN)
        | {f"backbone.norm{index}.{leaf}": small[0] for index in range(4) for leaf in ("weight", "bias")},
        "does not hold the weights of any known SegFormer; its first names are: backbone.",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_each_has_its_sentence(case, tmp_path):
    arrays, sentence = OTHERS[case]
    with pytest.raises(WeightsError, match=sentence) as error:
        read(saved(tmp_path / "x.safetensors", arrays))
    assert "\n" not in str(error.value) and str(error.value).startswith(f"{tmp_path}/x.safetensors ")


def test_one_and_several_are_told_apart(tmp_path):
    arrays = foreign_arrays(NVLABS, SEGMENTER)
    arrays["backbone.norm1.weight"][0] = np.nan
    warnings = read(saved(tmp_path / "x.safetensors", arrays)).warnings
    assert warnings == ("1 array holds NaN or infinity, first backbone.norm1.weight: the network cannot work",)


def model(folder, age):
    folder.mkdir(parents=True)
    saved(folder / "model.safetensors", HF)
    (folder / "optimizer.pt").write_bytes(b"x")
    os.utime(folder, (age, age))


def test_a_folder_of_folders_names_them(tmp_path):
    for age, name in enumerate(("checkpoint-20", "checkpoint-10", "checkpoint-5", "checkpoint-1"), 1):
        model(tmp_path / name, 10 * age)
    sentence = (
        "folder .* holds none of model.safetensors.*; these folders in it do: checkpoint-20, checkpoint-10, checkpoint-5, …; "
    )
    with pytest.raises(WeightsError, match=f"{sentence}name one, the newest is {tmp_path}/checkpoint-1$"):
        read(tmp_path)
    assert read(tmp_path / "checkpoint-1").architecture == SEGMENTER


def test_a_folder_of_files_names_them(tmp_path):
    for age, name in enumerate(("b.pth", "a.ckpt", "notes.txt"), 1):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (age, age))
    with pytest.raises(WeightsError, match=f"name one of its weight files: {tmp_path}/b.pth, {tmp_path}/a.ckpt$"):
        read(tmp_path)
