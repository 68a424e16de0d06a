"""backend_torch on an Ascend through torch_npu, with a stand-in: what is asked of torch_npu, and what it does differently."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from parity_tests import ROOT
from segformer_core.config.keys import RuntimeConfig
from segformer_core.errors import BackendError

pytestmark = pytest.mark.usefixtures("need_torch")


def stood_in(*words: str) -> dict:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "parity_tests.npu_stand_in", *words]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def report() -> dict:
    return stood_in()


def test_the_device_is_the_one_that_was_asked_for(report):
    assert report["device"] == "npu:1" and set(report["calls"]) == {"set_device npu:1"}
    assert report["peak"] == 123, "the device's memory, not the process'"
    assert report["card"].startswith("Ascend device 4 is asked for, as device_id says, and there are 4;")


def test_fp32_is_fp32(report):
    assert report["hf32"] == [False, False], "convolutions and matrix products"


def test_it_trains_in_fp16_as_mindspore_does(report):
    assert report["precision"] == ["fp32", "fp16"] and report["fp16"] == "fp16"


def test_a_card_without_infinity_trains_in_fp32(report):
    found = stood_in("saturates")
    assert found["precision"] == ["fp32", "fp32"]
    assert found["fp16"].startswith("precision fp16 on a card that saturates: an overflow would not be seen; use precision fp32")


def test_steps_are_those_of_a_cpu(report):
    """torch_npu's fused AdamW looks at neither the factor of the gradients nor the overflow, and it has no channels-last."""
    assert report["npu"]["overflowed"] == report["cpu"]["overflowed"] == [True, False, True, False]
    assert report["npu"]["steps"] == report["cpu"]["steps"] == 2
    np.testing.assert_allclose(report["npu"]["losses"][1::2], report["cpu"]["losses"][1::2], rtol=1e-5)
    sums = {name: list(report[name]["sums"].values()) for name in ("npu", "cpu", "trusting")}
    np.testing.assert_allclose(sums["npu"], sums["cpu"], rtol=2e-4, atol=1e-6)
    assert not np.allclose(sums["trusting"], sums["cpu"], rtol=1e-2), "the stand-in's kernel does not look at them either"


def test_without_torch_npu_a_sentence_says_so(monkeypatch):
    import torch

    from backend_torch.device import connect

    monkeypatch.setitem(sys.modules, "torch_npu", None)
    with pytest.raises(
        BackendError, match=r"^device_target Ascend needs torch_npu, which does not load \(.*\); install the"
    ) as raised:
        connect(RuntimeConfig(device_target="Ascend"))
    assert f"for PyTorch {torch.__version__} and this host's CANN, or use backend_mindspore" in str(raised.value)


def test_processes_speak_by_hccl_and_send_no_float64(monkeypatch):
    import torch
    import torch.distributed as dist

    from backend_torch import distributed

    said, sent = [], []
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dist, "is_initialized", lambda: False)
    monkeypatch.setattr(dist, "init_process_group", lambda library, timeout: said.append(library))
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: (sent.append(tensor.dtype), tensor.mul_(2)))
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: tensor)
    processes = distributed.join(SimpleNamespace(type="npu"))
    sums = [processes.all_reduce(np.array([1.5, 3], kind)) for kind in (np.float64, np.float32, np.int64)]
    assert said == ["hccl"] and sent == [torch.float32, torch.float32, torch.int64]
    assert [array.dtype for array in sums] == [np.float64, np.float32, np.int64]
    assert [array.tolist() for array in sums] == [[3.0, 6.0], [3.0, 6.0], [2, 6]]
