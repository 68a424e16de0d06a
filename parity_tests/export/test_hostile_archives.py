"""A .pt2 file of a stranger is refused with one sentence, and nothing in it runs."""

import json
import random
import zipfile

import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.export.export_files import ARRAYS, SMALL, SPEC, connected, form
from parity_tests.training_runs import FULL, flags
from segformer_core.cli import USERS_MISTAKE, main
from segformer_core.errors import WeightsError
from segformer_core.export.archive import PROGRAM, read_archive
from segformer_core.export.choice import sidecar_path
from segformer_core.export.program import checked_program
from segformer_core.export.sidecar import network_keys, read_sidecar
from segformer_core.files import sha256_of_files

need("torch")

from parity_tests.export.hostile_archives import (  # noqa: E402
    HOSTILE,
    MARK,
    Payload,
    changed,
    guards,
    members_of,
    of_torch_2_7,
    saved,
    write_members,
)

MUTATIONS = 2000 if FULL else 150


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    from backend_torch.exported import write

    path = tmp_path_factory.mktemp("sound") / "net.pt2"
    write(SPEC, ARRAYS, form("TORCH"), path)
    if PROGRAM not in members_of(path):
        pytest.skip("this PyTorch writes the layout of 2.7, which the archives here are not composed of")
    return path


@pytest.fixture(scope="module")
def members(sound):
    return members_of(sound)


def describe(path):
    """A sidecar whose hash matches: whoever sends the file sends both."""
    described = form("TORCH").__dict__
    content = {"format": 1, "file": {"sha256": sha256_of_files(path)}, "form": described, "network": network_keys(SPEC)}
    sidecar_path(path).write_text(json.dumps(content | {"weights": {"path": "w", "sha256": "0"}}))
    return path


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused(case, members, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change, message = HOSTILE[case]
    path = write_members(tmp_path / "net.pt2", change(members))
    with pytest.raises(WeightsError) as raised:
        read_archive(path)
    said = str(raised.value)
    assert message in said and said.count("\n") == 0 and len(said) < 500, said
    assert not (tmp_path / MARK).exists()


OLD = ("serialized_state_dict", "serialized_constants", "serialized_example_inputs")


@pytest.mark.parametrize("replaced", OLD)
def test_a_payload_in_the_layout_of_torch_2_7_is_refused(replaced, members, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = of_torch_2_7(members, **{replaced: saved({"a": Payload()})})
    with pytest.raises(WeightsError, match="a pickle that would call 'posix.mkdir', which no exported SegFormer has"):
        read_archive(write_members(tmp_path / "net.pt2", old, root=""))
    assert not (tmp_path / MARK).exists()


def test_every_layout_gives_the_same_arrays(sound, members, tmp_path):
    expected = read_archive(sound)
    assert expected.parameters <= expected.arrays.keys() and len(expected.arrays) > 150
    old = write_members(tmp_path / "old.pt2", of_torch_2_7(members), root="")
    between = {name: content for name, content in members.items() if not name.startswith(("data/weights", "data/constants"))}
    pickles = of_torch_2_7(members)
    between |= {"data/weights/model.pt": pickles["serialized_state_dict.pt"]}
    between |= {"data/constants/model.pt": pickles["serialized_constants.pt"]}
    for path in (old, write_members(tmp_path / "between.pt2", between)):
        got = read_archive(path)
        assert got.program == expected.program and got.arrays.keys() == expected.arrays.keys()
        assert all(np.array_equal(got.arrays[name], array) for name, array in expected.arrays.items())


def test_what_plain_torch_computes_is_what_is_computed_here(sound):
    """torch.export.load reads the file that this project trusts, because it has just written it."""
    import torch

    from backend_torch.exported import open_torch

    images = np.random.default_rng(0).standard_normal((1, 3, 64, 96)).astype(np.float32)
    with torch.inference_mode():
        expected = torch.export.load(sound).module()(torch.from_numpy(images)).numpy()
    assert np.array_equal(open_torch(sound)(images), expected)


def test_guards_are_not_executed(members, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_members(tmp_path / "net.pt2", changed(PROGRAM, guards)(members))
    assert "guards_code" not in read_archive(path).program and not (tmp_path / MARK).exists()


PLAIN = {
    "a file of torch.save": (lambda path: path.write_bytes(saved(Payload())), "the member"),
    "a zip of other files": (lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "a"), "the member 'a.txt'"),
    "no zip": (lambda path: path.write_bytes(b"weights"), "is damaged, or no file that torch.export.save wrote"),
    "an empty file": (lambda path: path.write_bytes(b""), "is damaged, or no file that torch.export.save wrote"),
}


@pytest.mark.parametrize("command", ["evaluate", "infer"])
@pytest.mark.parametrize("case", [*PLAIN, "a payload in the sample inputs", "a pickled weight", "os.system as an operator"])
def test_commands_refuse_it_in_one_sentence(case, command, members, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.pt2"
    if case in PLAIN:
        PLAIN[case][0](path)
        message = PLAIN[case][1]
    else:
        change, message = HOSTILE[case]
        write_members(path, change(members))
    key = "eval_ckpt_path" if command == "evaluate" else "infer_ckpt_path"
    assert main(command, connected("torch"), flags(SMALL | {"data_path": folder, key: describe(path)})) == USERS_MISTAKE
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith(f"error: {path}") and message in error, error
    assert not (tmp_path / MARK).exists()


def test_the_description_made_here_is_sound(sound):
    """Without it the test above could pass for another reason."""
    assert read_sidecar(describe(sound))[0] == form("TORCH")


def test_a_bomb_is_not_unpacked(members, tmp_path):
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (members | {PROGRAM: b" " * 2**25}).items():
            archive.writestr(f"archive/{name}", content)
    with pytest.raises(WeightsError, match="members that unpack to more than the file|the compressed or encrypted member"):
        read_archive(path)


def test_two_members_of_one_name(members, tmp_path):
    path = write_members(tmp_path / "net.pt2", members)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning):
        archive.writestr(f"archive/{PROGRAM}", members[PROGRAM])
    with pytest.raises(WeightsError, match="has two members 'archive/models/model.json'"):
        read_archive(path)


def test_damaged_archives_are_refused_or_read(sound, tmp_path):
    """Seeded: bytes are changed, and the file is cut. Only the program's JSON and the zip's own bytes matter to a reader."""
    raw, rng = sound.read_bytes(), random.Random(0)
    path, refused = tmp_path / "net.pt2", 0
    tail = raw.index(b"model_weights_config.json")
    for _ in range(MUTATIONS):
        damaged = bytearray(raw[: rng.randrange(len(raw))] if rng.random() < 0.1 else raw)
        for _ in range(rng.randint(1, 4)):
            place = (
                rng.randrange(min(tail, len(damaged) - 1), len(damaged)) if rng.random() < 0.9 else rng.randrange(len(damaged))
            )
            damaged[place] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read_archive(path)
        except WeightsError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600, error
    assert refused > MUTATIONS * 0.9, "the checksums of the zip find nearly everything"


def test_a_program_with_any_value_changed_is_refused_or_read(members):
    """Seeded: a value of the program becomes another one, in a program of which each list and table is short."""
    rng, refused = random.Random(0), 0
    others = [None, True, -1, 2**70, 1e300, "", "a b", "__import__", [], {}, [[]], {"as_graph": 1}, "\ud800"]
    program = shortened(json.loads(members[PROGRAM]))
    places = list(places_in(program))
    for _ in range(10 * MUTATIONS):
        container, key = rng.choice(places)
        before, container[key] = container[key], rng.choice(others)
        raw = json.dumps(program).encode()
        container[key] = before
        try:
            checked_program(raw, "net.pt2")
        except WeightsError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600, error
    assert refused > 5 * MUTATIONS


def shortened(value):
    if isinstance(value, list):
        return [shortened(inner) for inner in value[:12]]
    return {key: shortened(inner) for key, inner in [*value.items()][:12]} if isinstance(value, dict) else value


def places_in(value):
    """Each (container, key) of a JSON value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places_in(inner)
