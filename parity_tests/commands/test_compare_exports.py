"""compare_exports: each form's mIoU is that of evaluate, its labels are compared, and its mistakes are sentences."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import hot_arrays
from parity_tests.training_runs import flags
from segformer_core.cli import DONE, USERS_MISTAKE, main, program
from segformer_core.commands import compare_exports
from segformer_core.commands.compare_exports import Tally, row, table
from segformer_core.commands.deployments import FORMS
from segformer_core.commands.opening import connector
from segformer_core.errors import INCOMPLETE
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

SPEC = segformer("b0", class_count=3)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    root = tmp_path_factory.mktemp("forms")
    write_folder_dataset(root / "set", images=4, validation=3)
    save_weights(root / "w.safetensors", SPEC, hot_arrays(SPEC))
    shared = {"data_path": root / "set", "base_size": [64, 96], "device_target": "CPU"}
    return shared | {"eval_ckpt_path": root / "w.safetensors"}


def test_the_forms_of_both_frameworks(keys, tmp_path, need_torch, need_mindspore, capfd):
    output = tmp_path / "files"
    words = ["--forms", "torch,onnx,mindir", "--output", str(output), "--json", str(tmp_path / "forms.json")]
    assert program(["compare_exports", *words, *flags(keys)]) == DONE
    printed = capfd.readouterr().out
    found = json.loads((tmp_path / "forms.json").read_text())
    rows = {each["form"]: each for each in found["results"]}
    assert list(rows) == ["torch", "onnx", "mindir"] and found["setting"]["images"] == 3
    assert main("evaluate", connector("torch"), flags(keys | {"eval_output_path": tmp_path / "result"})) == DONE
    miou = json.loads((tmp_path / "result/result.json").read_text())["miou"]
    for name, each in rows.items():
        assert (
            each["miou"] == pytest.approx(miou, abs=2e-3)
            and each["differing"] < 0.001 * each["labels"]
            and len(each["seconds"]) == 3
        )
        assert f"\n{name} " in printed
    assert rows["torch"]["miou"] == pytest.approx(miou, abs=1e-12) and rows["torch"]["differing"] == 0
    assert rows["onnx"]["bytes"] == (output / "fp32.onnx").stat().st_size and (output / "fp32.mindir").is_file()


def test_a_file_that_is_not_kept_leaves_its_forms_out(monkeypatch, tmp_path, capsys):
    asked = []

    def run(command, env):
        asked.append(command)
        return SimpleNamespace(returncode=1 if any(word.endswith("int8.onnx") for word in command) else 0)

    monkeypatch.setattr(compare_exports.subprocess, "run", run)
    names = ("onnx-int8", "openvino-int8", "onnx", "openvino", "mindir")
    keys = {"config_path": "recipe.yaml", "export_precision": "fp16", "eval_mode": "slide", "device_target": "CPU"}
    found = dict(compare_exports.written({name: FORMS[name] for name in names}, keys, "w.safetensors", tmp_path))
    assert found == {"onnx": tmp_path / "fp32.onnx", "openvino": tmp_path / "fp32.onnx", "mindir": tmp_path / "fp32.mindir"}
    printed = capsys.readouterr().out
    assert "left out: onnx-int8, whose file was not kept" in printed and "left out: openvino-int8" in printed
    assert [command[2] for command in asked] == ["backend_torch.export", "backend_torch.export", "backend_mindspore.export"]
    assert sorted(asked[1][3:]) == sorted(
        [
            *("--config_path=recipe.yaml", "--device_target=CPU", "--export_ckpt_path=w.safetensors", "--runtime=auto"),
            *("--export_format=ONNX", "--export_precision=fp32", f"--export_path={tmp_path / 'fp32.onnx'}"),
        ]
    )


@pytest.mark.parametrize(
    ("names", "code", "says"),
    [
        ("onnx-int8", USERS_MISTAKE, "no form has a file that was kept"),
        ("torch,onnx-int8", INCOMPLETE, "left out: onnx-int8, whose file was not kept"),
    ],
)
def test_a_form_that_is_left_out_is_told_by_the_exit_code(names, code, says, keys, monkeypatch, capsys):
    monkeypatch.setattr(compare_exports.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=INCOMPLETE))
    monkeypatch.setattr(compare_exports, "labelled", lambda *_: {"torch": Tally(np.eye(3, dtype=np.int64), [1.0], 1, 1)})
    assert program(["compare_exports", "--forms", names, *flags(keys)]) == code
    assert says in "".join(capsys.readouterr())


def test_the_second_form_is_compared_with_the_first(keys, monkeypatch):
    """Two images of two pixels: the second form has three of four labels as the first one has them."""
    answers = {"torch": [[0, 1], [1, 1]], "onnx": [[0, 1], [0, 1]]}

    asked = []

    class Process:
        def __init__(self, name, *_):
            self.name = name

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def ask(self, index):
            asked.append((self.name, index))
            labels = np.array([answers[self.name][index]], np.uint8)
            return 0.5 + index, labels, np.array([[int(labels.sum()), 0], [0, 1]])

    monkeypatch.setattr(compare_exports, "AskedProcess", Process)
    forms = {name: FORMS[name] for name in answers}
    tallies = compare_exports.labelled(forms, dict.fromkeys(answers, "a path"), {}, 2, 2)
    assert [(tally.differing, tally.pixels, tally.seconds) for tally in tallies.values()] == [
        (0, 4, [0.5, 1.5]),
        (1, 4, [0.5, 1.5]),
    ]
    assert asked[:2] == [("torch", 0), ("onnx", 0)], "each gets ready"
    assert tallies["torch"].counts.tolist() == [[3, 0], [0, 2]] and tallies["onnx"].counts.tolist() == [[2, 0], [0, 2]]


def test_the_table(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"x" * 1_500_000)
    rows = [
        row(name, tmp_path / "net.onnx", Tally(np.array(counts), [0.25, 0.5, 3.0], differing, 8), ("road", "sky"))
        for name, counts, differing in (("torch", [[4, 0], [0, 4]], 0), ("onnx", [[4, 0], [4, 0]], 4))
    ]
    assert rows[1]["iou"] == {"road": 0.5, "sky": 0.0}
    assert [line.split() for line in table(rows)[1:]] == [
        ["torch", "1.5", "1.0000", "+0.00", "0.0000%", "0.500", "1.00"],
        ["onnx", "1.5", "0.2500", "-75.00", "50.0000%", "0.500", "1.00"],
    ]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--forms", "torch,tensorrt"], "expected some of torch,mindspore,onnx"),
        (["--forms", "onnx,onnx"], "each once"),
        (["--images", "0"], "argument --images: 0 is out of range"),
        (["--forms", "openvino"], "the form openvino needs openvino, which is not installed; leave it out of --forms"),
        (["--eval_ckpt_path", ""], "eval_ckpt_path is empty"),
        (["--data_path", "nowhere"], "nowhere"),
        (["--eval_ckpt_path", "none.safetensors", "--forms", "onnx"], "the export of onnx ended with exit code 2"),
        (["--eval_ckpt_path", "none.safetensors", "--forms", "torch"], "torch: no such weight file: none.safetensors"),
    ],
)
def test_a_mistake_is_one_sentence(more, says, keys, monkeypatch, capsys, tmp_path, need_torch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compare_exports, "find_spec", lambda name: None if name == "openvino" else sys)
    words = more[::2]
    given = [f"--{name}={value}" for name, value in keys.items() if f"--{name}" not in words]
    assert program(["compare_exports", *given, *more]) == USERS_MISTAKE
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(compare_exports, "find_spec", lambda name: None if name in ("mindspore", "openvino") else sys)
    assert list(compare_exports.chosen(())) == ["torch", "onnx", "onnx-fp16", "onnx-int8", "pt2"]
    assert "left out: mindir, since mindspore is not installed" in capsys.readouterr().out
