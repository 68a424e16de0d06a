"""ONNX and MINDIR files, descriptions and names of files that a stranger or a mistake could make: one sentence each."""

import json
import os
import random
import socket
from types import SimpleNamespace

import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.export.export_files import ARRAYS, SMALL, SPEC, connected, form
from parity_tests.training_runs import FULL, flags
from segformer_core.cli import USERS_MISTAKE, main
from segformer_core.config.keys import RuntimeConfig
from segformer_core.errors import UserError, WeightsError
from segformer_core.export.choice import sidecar_path
from segformer_core.export.exported import opened, read_exported
from segformer_core.export.messages import MINDIR, ONNX, checked_bytes
from segformer_core.export.sidecar import LONGEST_SIDECAR, network_keys, read_sidecar
from segformer_core.files import sha256_of_files

MUTATIONS = 1500 if FULL else 40


def _key(number: int) -> bytes:
    key = number << 3 | 2
    return bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])


def wrapped(*path: int, content: bytes | str) -> bytes:
    """`content` as the field that this path of field numbers leads to."""
    raw = content.encode() if isinstance(content, str) else content
    for number in reversed(path):
        raw = _key(number) + bytes([len(raw)]) + raw
    return raw


HOSTILE = {
    "ONNX with weights in another file": (
        ONNX,
        wrapped(7, 5, 13, content=wrapped(1, content="location")),
        "data of another file",
    ),
    "ONNX with a constant in another file": (ONNX, wrapped(7, 1, 5, 5, 13, content="x"), "data of another file"),
    "ONNX with an operator of a stranger": (ONNX, wrapped(7, 1, 7, content="com.example"), "the node 'com.example'"),
    "ONNX that wants a stranger's operators": (ONNX, wrapped(8, 1, content="com.example"), "the opset 'com.example'"),
    "ONNX with a loop": (ONNX, wrapped(7, 1, 5, 6, content="x"), "a graph inside an operator"),
    "ONNX with functions": (ONNX, wrapped(25, content="x"), "operators of its own"),
    "MINDIR with weights in another file": (MINDIR, wrapped(7, 3, 12, content="x"), "data of another file"),
    "MINDIR with a constant in another file": (MINDIR, wrapped(7, 1, 5, 17, 6, 12, content="x"), "data of another file"),
    "MINDIR with a custom operator": (MINDIR, wrapped(12, 2, content="Custom"), "the primitive 'Custom'"),
    "MINDIR with a custom node": (MINDIR, wrapped(7, 1, 4, content="Custom"), "the node 'Custom'"),
    "MINDIR with a custom node of the list": (
        MINDIR,
        wrapped(7, 1, 4, content="REF::PyExecute:3"),
        "the node 'REF::PyExecute:3'",
    ),
    "MINDIR with a custom node in a second graph": (MINDIR, wrapped(8, 1, 4, content="PyFunc"), "the node 'PyFunc'"),
    "MINDIR with a data pipeline": (MINDIR, wrapped(9, content="x"), "a data pipeline"),
    "MINDIR nested too deeply": (MINDIR, wrapped(7, 1, 5, *[17] * 25, content="x"), "nested too deeply"),
    "ONNX that is a text": (ONNX, b"no file of any format", "is damaged, or no exported file"),
    "MINDIR that ends early": (MINDIR, b"\x3a\x7f\x0a", "is damaged, or no exported file"),
    "MINDIR that is encrypted": (MINDIR, bytes(range(255, 155, -1)), "is damaged, or no exported file"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_message_is_refused(case, tmp_path):
    messages, raw, expected = HOSTILE[case]
    path = tmp_path / "net"
    path.write_bytes(raw)
    with pytest.raises(WeightsError) as raised:
        checked_bytes(path, messages)
    said = str(raised.value)
    assert said.startswith(str(path)) and expected in said and "\n" not in said, said


def test_an_operator_of_every_exported_file_is_known(tmp_path):
    path = tmp_path / "net"
    path.write_bytes(wrapped(7, 1, 4, content="REF::Conv2D:13") + wrapped(12, 2, content="Conv2D"))
    assert checked_bytes(path, MINDIR) == path.read_bytes()


def test_special_files_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.onnx"))
        for name, kind in (("pipe.onnx", "a named pipe"), ("s.onnx", "a socket")):
            for read in (read_sidecar, lambda path: checked_bytes(path, ONNX)):
                with pytest.raises(WeightsError, match=f"{name} is {kind}"):
                    read(tmp_path / name)


def described(path, **changes):
    content = {"format": 1, "file": {"sha256": sha256_of_files(path)}, "form": form("ONNX").__dict__}
    return content | {"network": network_keys(SPEC), "weights": {"path": "w", "sha256": "0"}} | changes


def text_of(**changes):
    return lambda path: json.dumps(described(path, **changes))


DESCRIPTIONS = {
    "no JSON": (lambda _: "{", "cannot read"),
    "a list": (lambda _: "[]", "cannot read"),
    "nested deeply": (lambda _: "[" * 200_000, "it is nested too deeply"),
    "too long": (lambda _: " " * (LONGEST_SIDECAR + 1), f"it is longer than {LONGEST_SIDECAR} bytes"),
    "no UTF-8": (lambda _: "{}".encode("utf-16"), "cannot read"),
    "an integer of thousands of digits": (lambda _: '{"format": ' + "9" * 5000 + "}", "cannot read"),
    "a form that is a text": (text_of(form="ONNX"), "'ONNX' as an object"),
    "a size of no machine": (text_of(form=form().__dict__ | {"size": [10**9, 32]}), "1000000000; expected 1 to 65536"),
    "a size of one number": (text_of(form=form().__dict__ | {"size": [64]}), "[64] for 2 values"),
    "a mean that is a text": (text_of(form=form().__dict__ | {"mean": ["a", 1, 2]}), "'a' as a number"),
    "an unknown format": (text_of(form=form().__dict__ | {"format": "PICKLE"}), "'PICKLE'"),
    "the format of another suffix": (
        text_of(form=form("MINDIR").__dict__),
        "describes a file of MINDIR; expected one whose name ends",
    ),
    "a network that is a list": (text_of(network=[1]), "[1] as an object"),
    "no weights": (text_of(weights=None), "None as an object"),
    "a hash that is a number": (text_of(file={"sha256": 1}), "1 as a text"),
    "a version that is a list": (text_of(format=[1]), "has format [1]; expected 1"),
}


@pytest.mark.parametrize("case", DESCRIPTIONS)
def test_a_damaged_description_is_one_sentence(case, tmp_path):
    make, expected = DESCRIPTIONS[case]
    path = tmp_path / "net.onnx"
    path.write_bytes(b"bytes")
    text = make(path)
    sidecar_path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WeightsError) as raised:
        read_sidecar(path)
    said = str(raised.value)
    assert expected in said and "\n" not in said and len(said) < 500, said


NAMED = [{"index": index, "name": name, "colour": [index, 0, 9]} for index, name in enumerate(("sky", "road", "car"))]
RECIPE = {"base_size": [64, 96], "eval_mode": "slide", "eval_crop_size": [64, 64], "eval_stride": [48, 48], "lr": 0.5}


def test_what_a_description_says_of_classes_and_recipe(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"bytes")

    def stated(**changes):
        sidecar_path(path).write_text(text_of(**changes)(path))
        return read_exported(path).stated

    sound = stated(classes=NAMED, recipe=RECIPE)
    assert (sound.classes, sound.colours, sound.warnings) == (("sky", "road", "car"), ((0, 0, 9), (1, 0, 9), (2, 0, 9)), ())
    assert {name: sound.recipe[name] for name in RECIPE} == RECIPE
    assert stated(classes=NAMED, settings=RECIPE).recipe["eval_mode"] == "slide", "as files of version 1.0.0 have it"
    labels = form("ONNX", labels=True).__dict__
    assert "eval_mode" not in stated(form=labels, recipe=RECIPE).recipe, "labels cannot be averaged over windows"
    assert stated(recipe={"base_size": [512, 1024]}).recipe["base_size"] == [64, 96], "a file of fixed size takes that size"
    assert stated(recipe={"base_size": [60, 96], "eval_size_divisor": 32}).recipe["base_size"] == [60, 96], "rounded up to it"
    assert stated(recipe={"base_size": [512, 1024]}, form=form("ONNX", dynamic=True).__dict__).recipe["base_size"] == [512, 1024]
    for classes in ("x", [1], [{}], NAMED[:2], [{"name": "a"}] * 3, None, {"0": NAMED}):
        assert stated(classes=classes).classes == ()
    for recipe in ("x", [1], {"base_size": "wide"}, {"eval_scales": {}}, {"eval_stride": [9999, 9999]}):
        strange = stated(recipe=recipe)
        assert strange.recipe.keys() <= {"base_size", "img_norm_mean", "img_norm_std"} and len(strange.warnings) <= 1


def test_damaged_descriptions_are_refused_or_read(tmp_path):
    path, rng = tmp_path / "net.onnx", random.Random(0)
    path.write_bytes(b"bytes")
    raw = text_of(classes=NAMED, recipe=RECIPE)(path).encode()
    for _ in range(20 * MUTATIONS):
        damaged = bytearray(raw[: rng.randrange(len(raw))] if rng.random() < 0.2 else raw)
        for _ in range(rng.randint(1, 3)):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.choice(b'{}[]",:0123456789abc\\\x00\xff')
        sidecar_path(path).write_bytes(damaged)
        try:
            assert read_exported(path).stated.recipe
        except WeightsError as error:
            assert "\n" not in str(error).replace(str(path), ""), error


SLOW = pytest.mark.skipif(not FULL, reason="MindSpore compiles each file that it can load; make test-all runs it")


@pytest.mark.parametrize(
    ("name", "framework", "mutations"),
    [("ONNX", "torch", MUTATIONS), pytest.param("MINDIR", "mindspore", 150, marks=SLOW)],
)
def test_damaged_files_are_refused_or_run(name, framework, mutations, tmp_path):
    """Seeded. A runtime's own exceptions become one sentence, when the file is opened and when it runs."""
    backend = connected(framework)(RuntimeConfig(device_target="CPU"))
    described, rng, refused = form(name), random.Random(0), 0
    sound, path = tmp_path / f"net{described.suffix}", tmp_path / f"damaged{described.suffix}"
    backend.exports.write(SPEC, ARRAYS, described, sound)
    raw = sound.read_bytes()
    for _ in range(mutations):
        damaged = bytearray(raw[: rng.randrange(len(raw))] if rng.random() < 0.1 else raw)
        nodes = min(len(damaged), 80_000)  # then come the numbers of its weights
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(nodes)] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            session = opened(path, described, backend)
            if framework == "torch":
                session(np.zeros((1, 3, 64, 96), np.float32))
        except UserError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600, error
    assert refused > mutations / 6


class Failing:
    def __init__(self, error=None, gives=None):
        self.error, self.gives = error, gives

    def open(self, *_):
        if self.error:
            raise self.error
        return lambda _: self.gives


def test_a_lack_of_memory_is_told_by_those_who_know_what_to_lower(tmp_path):
    def run(_):
        raise MemoryError

    exports = SimpleNamespace(open=lambda *_: run)
    with pytest.raises(MemoryError):
        opened(tmp_path / "net.onnx", form("ONNX"), SimpleNamespace(exports=exports))(np.zeros((1, 3, 64, 96), np.float32))


GIVEN = {
    "an exception of a runtime": (
        Failing(RuntimeError("-----\n- Parse failed\n at line 3")),
        r"cannot be opened as ONNX \(RuntimeError: '- P",
    ),
    "logits of another size": (
        Failing(gives=np.zeros((1, 3, 16, 23), np.float32)),
        r"gives float32 of shape \(1, 3, 16, 23\); expected log",
    ),
    "logits of another type": (
        Failing(gives=np.zeros((1, 3, 16, 24), np.int64)),
        r"gives int64 of shape \(1, 3, 16, 24\); expected log",
    ),
}


@pytest.mark.parametrize("case", GIVEN)
def test_what_a_runtime_says_or_gives_is_checked(case, tmp_path):
    exports, expected = GIVEN[case]
    with pytest.raises(WeightsError, match=expected):
        opened(tmp_path / "net.onnx", form("ONNX"), SimpleNamespace(exports=exports))(np.zeros((1, 3, 64, 96), np.float32))


def test_a_class_that_the_network_does_not_have(tmp_path):
    given = Failing(gives=np.full((1, 64, 96), 3, np.uint8))
    with pytest.raises(WeightsError, match="gives class 3; expected 0 to 2"):
        opened(tmp_path / "n.onnx", form(labels=True), SimpleNamespace(exports=given))(np.zeros((1, 3, 64, 96), np.float32))


NAMES = {
    "../../x": "export_name is '../../x'; expected a name without a folder",
    "/tmp/x": "export_name is '/tmp/x'; expected a name without a folder",
    "..": "export_name is '..'; expected a name without a folder",
    ".": "export_name is '.'; expected a name without a folder",
    "a/": "export_name is 'a/'; expected a name without a folder",
    "a\0b": "expected a name without a folder",
    "a\ud800b": "expected a name without a folder",
    "n" * 255: "of 255 bytes; expected at most",
    "ä" * 127: "of 254 bytes; expected at most",
}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_that_is_no_file_name(name, folder, weights, tmp_path, capsys, monkeypatch):
    need("torch")
    monkeypatch.chdir(tmp_path)
    keys = {"data_path": folder, "export_ckpt_path": weights, "export_path": "out", "export_format": "TORCH", "export_name": name}
    assert main("export", connected("torch"), flags(SMALL | keys)) == USERS_MISTAKE
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and NAMES[name] in error, error
    assert not list(tmp_path.iterdir())
