"""The judge of documented commands: it believes what exists, and nothing else."""

import shlex

import pytest

from parity_tests.documents.blocks import Block, commands
from parity_tests.documents.known_commands import check
from segformer_core.errors import UserError

RIGHT = (
    "python -m backend_torch.train --config_path configs/segformer.b0.camvid.yaml --lr 1e-4",
    "python -m backend_mindspore.evaluate --help",
    "python tools/convert_model.py a.pth b.ckpt",
    "python examples/onnxruntime_client.py net.onnx labels street.jpg",
    "segformer convert_model a.pth b.ckpt --to zoo",
    "segformer compare_training --contestants torch,transformers --output both --lr 1e-4 --device_id -1",
    "torchrun --standalone --nproc_per_node 8 -m backend_torch.train --epoch_size 3",
    "msrun --worker_num=8 --join=True python -m backend_mindspore.train --epoch_size 3",
    "bash tools/run_eval.sh 0 configs/segformer.b0.camvid.yaml a.ckpt data",
    "python3 -m venv .venv",
    "make demo",
    "make PYTHON=python3.11 test",
    "pip install -c constraints.txt '.[torch,hub]'",
    ".venv/bin/pytest parity_tests",
)
WRONG = (
    "python -m backend_torch.trian",
    "python -m backend_torch.train --learning 1e-4",
    "python -m backend_torch.train --epoch_size many",
    "python -m backend_torch.train --config_path configs/segformer.b9.yaml",
    "python tools/convert_weights.py a.pth b.ckpt",
    "python examples/nobody.py net.onnx labels street.jpg",
    "python tools/convert_model.py a.pth b.ckpt --too zoo",
    "segformer benchmark --contestants nobody",
    "segformer compare_training --contestants torch,nobody",
    "segformer compare_training --learning 1e-4",
    "torchrun --standalone -m backend_torch.train --epochs 3",
    "msrun --worker_num=8 python -m backend_mindspore.trian",
    "bash tools/run_evaluation.sh 0",
    "python3.11 -m backend_torch.trian",
    "make demos",
    "pip install '.[tensorflow]'",
    "pip install -c constraint.txt '.[torch]'",
    "segformr --help",
)


@pytest.mark.parametrize("command", RIGHT)
def test_a_command_that_exists_is_believed(command):
    check(shlex.split(command))


@pytest.mark.parametrize("command", WRONG)
def test_a_command_that_does_not_exist_is_not(command):
    with pytest.raises((AssertionError, UserError)):
        check(shlex.split(command))


def test_the_commands_of_a_block():
    first = "A=1 python -m x --lr 1e-4 \\\n    --y [1,2] # why\n"
    text = first + "mkdir -p a && cd a; tool <in >out 2>&1 | head -1\nBACKEND=b bash 'c d'\n"
    words = list(commands(Block("page", 1, "bash", "", text)))
    assert words[0] == ["python", "-m", "x", "--lr", "1e-4", "--y", "[1,2]"]
    assert [command[0] for command in words] == ["python", "mkdir", "cd", "tool", "head", "bash"]
    assert words[4:] == [["head", "-1"], ["bash", "c d"]]
