"""Which device a backend takes, and what it sets for MindSpore before it loads."""

import subprocess
import sys

import pytest

from parity_tests import ROOT
from segformer_core.config.keys import RuntimeConfig
from segformer_core.errors import BackendError


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_devices(backend):
    if backend == "torch":
        from backend_torch.device import device_target

        assert device_target(RuntimeConfig(device_target="auto"), 0, 0) == "cpu"
        assert device_target(RuntimeConfig(device_target="auto"), 2, 1) == "cuda:1"
        assert device_target(RuntimeConfig(device_target="CPU"), 2, 0) == "cpu"
        for target in ("CUDA", "Ascend"):
            with pytest.raises(BackendError, match=target):
                device_target(RuntimeConfig(device_target=target), 0, 0)
        with pytest.raises(BackendError, match="CUDA device 2 is asked for and there are 2"):
            device_target(RuntimeConfig(device_target="CUDA"), 2, 2)
        return
    from backend_mindspore.device import device_target

    assert device_target(RuntimeConfig(device_target="auto"), has_ascend=False) == "CPU"
    assert device_target(RuntimeConfig(device_target="auto"), has_ascend=True) == "Ascend"
    assert device_target(RuntimeConfig(device_target="cpu"), has_ascend=True) == "CPU"
    with pytest.raises(BackendError, match="no Ascend device"):
        device_target(RuntimeConfig(device_target="Ascend"), has_ascend=False)
    with pytest.raises(BackendError, match="use backend_torch"):
        device_target(RuntimeConfig(device_target="GPU"), has_ascend=True)


def test_the_convolution_setting_is_for_a_cpu_without_avx512_and_yields_to_the_users(tmp_path):
    (tmp_path / "old").write_text("flags\t: fpu avx2 avx512f\n")
    (tmp_path / "new").write_text("flags\t: fpu avx2 avx512f avx512bw\n")
    program = (
        "import os, sys; from pathlib import Path; from backend_mindspore.device import prepare; "
        "prepare(sys.argv[1], Path(sys.argv[2])); print(os.environ.get('ONEDNN_MAX_CPU_ISA'))"
    )

    def found(target: str, processors: str, **variables: str) -> str:
        command = [sys.executable, "-c", program, target, str(tmp_path / processors)]
        environment = {"PATH": "", **variables}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert found("CPU", "old") == found("CPU", "not Linux") == "AVX2"
    assert found("CPU", "new") == found("Ascend", "old") == "None"
    assert found("CPU", "old", ONEDNN_MAX_CPU_ISA="AVX512_CORE") == "AVX512_CORE"
