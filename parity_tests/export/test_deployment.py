"""The network that PyTorch exports: what is folded and divided computes the same, and ONNX Runtime runs it as it should."""

import collections
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parity_tests import ROOT
from parity_tests.export.export_files import ARRAYS, SPEC, connected, form, needed
from segformer_core.commands.opening import connector
from segformer_core.export.fresh import run_afresh
from segformer_core.spec.model import segformer


@pytest.fixture(scope="module")
def backend():
    from segformer_core.config.keys import RuntimeConfig

    needed("torch")
    return connector("torch")(RuntimeConfig(device_target="CPU"))  # with its own `write`


@pytest.mark.parametrize("level", [0, 1, 3], ids=["one head", "two heads", "no sr"])
@pytest.mark.parametrize("groups", [1, 3])
def test_folded_attention_in_groups_is_attention(level, groups, backend):
    import torch

    from backend_torch.deployment import FoldedAttention
    from backend_torch.model import SegFormer

    network = SegFormer(SPEC)
    for name, array in network.state_dict().items():
        array.copy_(torch.from_numpy(ARRAYS[name]))
    attn, size = network.stages[level].blocks[0].attn, (16, 8)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 128, SPEC.stages[level].blocks[0].attn.q.in_features)))
    with torch.no_grad():
        expected = attn(x.float(), size)
        assert (FoldedAttention(attn, groups)(x.float(), size) - expected).abs().max() < 1e-5
    assert expected.std() > 0.1


@pytest.mark.parametrize(
    ("size", "groups"), [((64, 96), [1, 1, 1, 1]), ((512, 1024), [8, 4, 3, 1]), ((1024, 2048), [16, 16, 4, 1])]
)
def test_the_groups_of_queries_are_of_few_scores_and_none_is_empty(size, groups):
    connected("torch")
    from backend_torch.deployment import query_groups

    strides = (4, 8, 16, 32)
    assert [query_groups(SPEC.stages[i].blocks[0].attn, size, stride) for i, stride in enumerate(strides)] == groups


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_divided_file_gives_the_networks_logits_and_runs_as_fast_operators(dynamic, backend, tmp_path, monkeypatch):
    """ONNX Runtime's SkipLayerNormalization is slower than Add and LayerNormalization; GELU and ReLU must be fused."""
    from backend_torch import deployment
    from segformer_core.config.load import load_config

    monkeypatch.setattr(deployment, "MOST_SCORES", 2**10)
    path = tmp_path / "net.onnx"
    backend.exports.write(SPEC, ARRAYS, form(size=(64, 96), dynamic=dynamic), path)
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimised.onnx"), 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    learner = backend.learner(SPEC, load_config(["--class_num", "3"]), print)
    learner.load_arrays(ARRAYS)
    rng = np.random.default_rng(0)
    for shape in [(1, 3, 64, 96), (2, 3, 32, 32), (1, 3, 45, 77)] if dynamic else [(1, 3, 64, 96)]:
        images = rng.standard_normal(shape).astype(np.float32)
        assert np.abs(session.run(None, {"images": images})[0] - learner.forward(images)).max() < 1e-5
    kinds = collections.Counter(node.op_type for node in onnx.load(path).graph.node)
    assert kinds["Softmax"] == 2 * (3 + 2 + 1 + 1), "the groups of queries"
    fast = collections.Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert fast["Gelu"] == 8 and not fast["Erf"]
    assert not dynamic or fast["Resize"] == 12
    if not dynamic:
        assert not fast["SkipLayerNormalization"] and fast["LayerNormalization"] == 30
        assert not fast["Relu"], "ReLU and the sum before it are in the convolution"


def test_a_file_for_accelerators_is_not_divided(backend):
    from backend_torch.deployment import Deployed

    spec = segformer("b0")
    arrays = spec_arrays(spec)
    for keys, groups in (({}, 4), ({"precision": "fp16"}, 1), ({"name": "TORCH"}, 1)):
        name = keys.pop("name", "ONNX")
        network = Deployed(spec, arrays, form(name, size=(512, 1024), **keys))
        assert len(network.decode_head.groups) == groups
        assert (network.stages[0].blocks[0].attn.groups > 1) == (groups > 1)


def test_no_array_is_cast_to_the_type_that_it_has(backend):
    """PyTorch 2.7 writes such casts, and an array that is folded with one loses its name: int8 then leaves the layer out."""
    from backend_torch.exported import traced

    nodes = traced(SPEC, ARRAYS, form()).graph.nodes
    cast = {node.args[0].name for node in nodes if "to.dtype" in str(node.target)}
    assert {node.name for node in nodes if node.op == "placeholder"} & cast == {"images"}


def spec_arrays(spec) -> dict[str, np.ndarray]:
    from parity_tests.support import hot_arrays

    return hot_arrays(spec)


def test_a_command_does_not_import_what_only_a_pt2_file_needs(backend):
    """torch._export's deserialiser brings torch._dynamo: a second of every command."""
    program = (
        "import sys; from backend_torch.device import connect; from segformer_core.config.keys import RuntimeConfig; "
        "connect(RuntimeConfig(device_target='CPU')); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_the_network_runs_while_the_process_runs_the_file(tmp_path, monkeypatch, backend):
    """The process answers when it is told to, which is after `run_afresh` has given the word back."""
    go, python = tmp_path / "go", tmp_path / "python"
    python.write_text(
        f"#!/bin/bash\nfor _ in {{1..500}}; do [ -e {go} ] && exec cp ${{@: -2:1}} ${{@: -1}}; sleep 0.01; done; exit 1\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with run_afresh(backend, Path("net.onnx"), [np.arange(3)]) as outputs:
        go.touch()
        assert [output.tolist() for output in outputs()] == [[0, 1, 2]]
