"""`export_probe`: which layer overflows first where every value is lowered, and how many labels that costs."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from parity_tests.export.export_files import ARRAYS, SMALL, SPEC, connected, described, form
from parity_tests.export.json_schema import faults
from parity_tests.export.test_sidecar_schema import changed, schema
from parity_tests.support import undecided_arrays
from parity_tests.training_runs import FULL, flags
from segformer_core.cli import USERS_MISTAKE, main
from segformer_core.commands import export as command
from segformer_core.config.keys import RuntimeConfig
from segformer_core.errors import BackendError
from segformer_core.evaluation.metrics import near_ties
from segformer_core.export.probe import RANGES, probed
from segformer_core.export.verification import image_batches, made_images, normalised
from segformer_core.protocol.probe import Rounded

SIZE = form().size
IMAGES = made_images(2, SIZE)


def answered(arrays, shape=None, images=IMAGES):
    """What `probed` finds with PyTorch, and the lines for the user."""
    connected("torch")
    from backend_torch.exported import EXPORTS

    lines: list[str] = []
    return probed(EXPORTS.probe, SPEC, arrays, shape or form(), images, lines.append), lines


def times(factor):
    return lambda array: array * np.float32(factor)


def everywhere(value):
    return lambda array: np.full_like(array, value)


LARGE = {
    "stages.0.patch_embed.proj": {"stages.0.patch_embed.proj.weight": times(1e5)},
    "stages.1.blocks.0.attn.q": {"stages.1.blocks.0.attn.q.bias": everywhere(1e7)},
    "stages.2.blocks.1.attn": {
        name: times(2e3) for name in ("stages.2.blocks.1.attn.q.weight", "stages.2.blocks.1.attn.kv.weight")
    },
    "stages.2.blocks.1.mlp.fc1": {"stages.2.blocks.1.mlp.fc1.weight": times(5e4)},
    "stages.3.blocks.0": {
        name: everywhere(4e4) for name in ("stages.3.blocks.0.attn.proj.bias", "stages.3.blocks.0.mlp.fc2.bias")
    },
    "decode_head.groups.0.classifier": {"decode_head.linear_pred.bias": times(1e6)},
}
"""What overflows first -> changes by which it does: a layer, or the module of attention's scores or of a residual sum."""


FEW = ["stages.0.patch_embed.proj", "stages.2.blocks.1.attn", "stages.3.blocks.0"]
"""One of each kind."""


@pytest.mark.parametrize("layer", LARGE if FULL else FEW)
def test_the_first_layer_that_overflows_is_named(layer):
    arrays = ARRAYS | {name: change(ARRAYS[name]) for name, change in LARGE[layer].items()}
    found, (_, half, brain) = answered(arrays)
    assert found["types"]["fp16"]["overflow"] == layer and found["types"]["bf16"]["overflow"] is None
    assert found["layers"][layer] > RANGES["fp16"], "in fp32 it is as large"
    assert half.startswith(f"WARNING: with every value in fp16 {layer} overflows first (the largest value is ")
    assert "with every value in bf16 no layer overflows" in brain


def test_a_value_behind_an_overflow_is_no_label():
    """The classifier's scores of class 1 are infinite alone, and where class 1 is right its label is lost all the same."""
    bias = np.array([0, 1e6, 0], np.float32)
    found, _ = answered(ARRAYS | {"decode_head.linear_pred.bias": bias})
    half = found["types"]["fp16"]
    assert half["lost"] == half["pixels"] - half["near_ties"] and half["agreement"] == 0


def test_a_harmless_network_is_clean():
    found, (_, half, brain) = answered(ARRAYS)
    assert [entry["overflow"] for entry in found["types"].values()] == [None, None]
    assert max(found["layers"].values()) < 100 and next(iter(found["layers"])) == "images"
    assert half.startswith("probe: with every value in fp16 no layer overflows (the largest value is ")
    assert "fp16 holds 65504" in half and "bf16 holds 3.3895e+38" in brain


@pytest.mark.parametrize("labels", [True, *([False] if FULL else [])])
def test_as_many_labels_are_lost_as_in_a_network_that_is_rounded_by_other_means(labels, monkeypatch):
    """PyTorch's dispatcher rounds what each operator gives to another; no graph is exported."""
    connected("torch")
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_map

    from backend_torch import onednn
    from backend_torch.deployment import Deployed

    class Rounds(TorchDispatchMode):
        def __init__(self, dtype):
            super().__init__()
            self.dtype = dtype

        def rounded(self, value):
            floats = isinstance(value, torch.Tensor) and value.is_floating_point()
            return value.to(self.dtype).to(value.dtype) if floats else value

        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            return tree_map(self.rounded, operator(*args, **(kwargs or {})))

    monkeypatch.setattr(onednn, "AVAILABLE", False)  # as in a graph for export
    arrays, shape, images = undecided_arrays(SPEC), form(preprocess=labels, labels=labels), made_images(3, SIZE)
    found, _ = answered(arrays, shape, images)
    batches = image_batches(images, shape)
    inputs = [torch.from_numpy(batch if labels else normalised(batch, shape)) for batch in batches]
    network = Deployed(SPEC, arrays, replace(shape, labels=False))

    def scores(one):
        return torch.nn.functional.interpolate(one, SIZE, mode="bilinear") if labels else one

    expected = [scores(network(one)) for one in inputs]
    scale = max(1.0, *(float(one.abs().max()) for one in expected))
    ties = [torch.from_numpy(near_ties(one.numpy(), scale)) for one in expected]
    for name, dtype in {"fp16": torch.float16, "bf16": torch.bfloat16}.items():
        lowered, rounds = deepcopy(network), Rounds(dtype)
        for array in (*lowered.parameters(), *lowered.buffers()):
            array.copy_(rounds.rounded(array))
        with rounds:
            got = [scores(lowered(rounds.rounded(one))) for one in inputs]
        wrong = [(one.argmax(1) != other.argmax(1)) & ~tie for one, other, tie in zip(got, expected, ties, strict=True)]
        assert found["types"][name]["lost"] == sum(int(one.sum()) for one in wrong)
    assert found["types"]["bf16"]["lost"] > found["types"]["fp16"]["lost"] > 0
    assert found["types"]["fp16"]["pixels"] == sum(tie.numel() for tie in ties)
    assert found["types"]["fp16"]["near_ties"] == sum(int(tie.sum()) for tie in ties)


def of_scores(half: np.ndarray, overflow: str = ""):
    """A probe whose scores in fp32 and bf16 are of class 0 in every pixel, and `half` in fp16; and what it was asked for."""
    asked = []

    def probe(spec, arrays, shape, batches, types):
        asked.append((shape, [batch.shape for batch in batches]))
        full = np.zeros_like(half)
        full[:, 0] = 2
        runs = {name: Rounded((full,), {"images": 2.5, "stages.0.norm": 70000.0}, "") for name in types}
        return runs | {"fp16": Rounded((half,), {}, overflow)}

    return probe, asked


LARGEST = "(the largest value is 7e+04, in stages.0.norm; fp16 holds 65504)"
ADVICE = "; let a compiler keep the file's types, as the sidecar's lines do"


@pytest.mark.parametrize(
    ("lost", "overflow", "line"),
    [
        (0, "", f"probe: with every value in fp16 no layer overflows {LARGEST}, and 0 of 400 labels are lost (0.00%)"),
        (2, "", f"probe: with every value in fp16 no layer overflows {LARGEST}, and 2 of 400 labels are lost (0.50%)"),
        (3, "", f"WARNING: with every value in fp16 no layer overflows {LARGEST}, and 3 of 400 labels are lost (0.75%)"),
        (0, "a.b", f"WARNING: with every value in fp16 a.b overflows first {LARGEST}, and 0 of 400 labels are lost (0.00%)"),
    ],
)
def test_when_a_user_is_warned(lost, overflow, line):
    """As where a file of fp16 would not be kept: with more than 0.5 % other labels."""
    half = np.zeros((1, 3, 20, 20), np.float32)
    half[:, 0] = 1
    half[0, 1].flat[:lost] = 2
    probe, _ = of_scores(half, overflow)
    lines: list[str] = []
    found = probed(probe, SPEC, ARRAYS, form(), IMAGES[:1], lines.append)
    assert lines[1] == f"{line}, without 0 near ties{ADVICE if line.startswith('WARNING') else ''}"
    assert found["layers"] == {"images": 2.5, "stages.0.norm": 70000.0}
    assert found["types"]["fp16"] == {
        "range": 65504.0,
        "overflow": overflow or None,
        "pixels": 400,
        "near_ties": 0,
        "lost": lost,
        "agreement": 1 - lost / 400,
    }


def test_a_file_of_any_size_is_probed_at_its_own_in_fp32():
    probe, asked = of_scores(np.zeros((1, 3, 16, 24), np.float32))
    for shape, input_shape in ((form(dynamic=True), (1, 3, 64, 96)), (form(preprocess=True, precision="fp16"), (1, 64, 96, 3))):
        probed(probe, SPEC, ARRAYS, shape, IMAGES[:1], print)
        assert asked.pop() == (replace(shape, dynamic=False, precision="fp32"), [input_shape])


def test_what_is_found_stands_in_the_description(exported):
    content, rules = described(exported("torch", "ONNX", export_probe="worst")), schema()
    assert list(faults(content, rules, rules)) == []
    assert content["probe"]["kind"] == "worst" and content["probe"]["layers"]["decode_head.groups.0.classifier"] > 0
    assert content["probe"]["types"]["bf16"]["pixels"] == content["verification"]["pixels"]
    assert "probe" not in described(exported("torch", "ONNX"))
    for place, value in (
        ("probe/kind", "best"),
        ("probe/types/bf16", None),
        ("probe/types/fp16/lost", -1),
        ("probe/types/fp16/overflow", 0),
        ("probe/types/fp16/another", 1),
        ("probe/layers/images", -1),
        ("probe/layers", None),
    ):
        assert len(list(faults(changed(deepcopy(content), place, value), rules, rules))) == 1, place


def test_a_backend_without_a_probe_asks_pytorch():
    connected("torch")
    from backend_torch.exported import EXPORTS

    backend = connected("torch")(RuntimeConfig(device_target="CPU"))
    assert command.prober(replace(backend, exports=replace(backend.exports, probe=None))) is EXPORTS.probe


def test_without_pytorch_that_is_said_before_anything_is_written(folder, weights, tmp_path, monkeypatch, capsys):
    def connect(runtime):
        backend = connected("torch")(runtime)
        return replace(backend, exports=replace(backend.exports, probe=None))

    def missing(runtime):
        raise BackendError("PyTorch is not installed: run pip install TORCH")

    monkeypatch.setattr(command, "connector", lambda name: missing)
    paths = {"data_path": folder, "export_ckpt_path": weights, "export_path": tmp_path, "export_probe": "worst"}
    assert main("export", connect, flags(SMALL | paths)) == USERS_MISTAKE
    assert capsys.readouterr().err == (
        "error: export_probe needs PyTorch with either backend, and PyTorch is not installed: run pip install TORCH; or leave "
        "export_probe out\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not FULL, reason="compiles MindSpore's graphs once more; make test-all runs it")
def test_a_mindir_is_answered_for_by_pytorch(exported):
    of_mindir = described(exported("mindspore", "MINDIR", export_probe="worst"))["probe"]
    of_torch = described(exported("torch", "TORCH", export_probe="worst"))["probe"]
    assert of_mindir == of_torch
