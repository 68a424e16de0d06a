"""Small files that unpack to much: refused before they are unpacked, within a second or two and 300 MB."""

import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from parity_tests.weights.hostile import bounded, doubled, name, program, recall, remember, text, torch_zip, zeros_zip
from segformer_core.errors import WeightsError
from segformer_core.weights.containers import mindspore_file, pickle_machine
from segformer_core.weights.reading import read

MEBIBYTE = 2**20


def test_a_compressed_pickle_of_gigabytes(tmp_path):
    path = zeros_zip(tmp_path / "x.pth", "archive/data.pkl", 100 * MEBIBYTE)
    assert path.stat().st_size < MEBIBYTE
    with bounded(most_bytes=20_000_000), pytest.raises(WeightsError, match="unpacks to 100 MiB, which no weights need"):
        read(path)


def test_a_member_that_is_longer_than_it_states(tmp_path):
    path = zeros_zip(tmp_path / "x.pth", "archive/data.pkl", 100 * MEBIBYTE)
    true, stated = struct.pack("<Q", 100 * MEBIBYTE), struct.pack("<Q", 1000)
    raw = path.read_bytes().replace(true, stated).replace(true[:4], stated[:4])
    path.write_bytes(raw)
    with bounded(most_bytes=20_000_000), pytest.raises(WeightsError, match="is damaged"):
        read(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_forms_of_compression_that_cannot_be_bounded_are_refused(compression, tmp_path):
    with pytest.raises(WeightsError, match="its compression is neither none nor deflate"):
        read(torch_zip(tmp_path / "x.pth", program(b"}"), compression))


CALLED = (recall(1) + recall(0) + b"R") * 20_000
ENCODED = (recall(1) + recall(0) + b"\x85R") * 20_000
FANNED = b"".join(remember(i) + b"}(" + b"".join(text(c) + recall(i) for c in "abcdefghij") + b"u" for i in range(40))
COLLIDING = (pickle.LONG1 + b"\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") + b"N" for i in range(1, 20_000))
LENGTH, LONGER = struct.pack("<H", 1234), struct.pack("<H", 4321)
STORAGE = (b"(", text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"))

PICKLES = {
    "a large memo index": program(b"N", remember(2**32 - 2)),
    "tuples in tuples as a key": program(b"}", doubled(b")", 200), b"N", pickle.SETITEM),
    "tuples in tuples in a set": program(b"\x8f(", doubled(b")", 200), pickle.ADDITEMS, b"0}"),
    "tuples in tuples in a frozenset": program(b"(", doubled(b")", 200), pickle.FROZENSET, b"0}"),
    "tuples in tuples as a name": program(b"}", doubled(b"N", 200), pickle.BINPERSID, b"N", pickle.SETITEM),
    "dictionaries in dictionaries": program(b"}", FANNED),
    "a dictionary in itself": program(b"}", remember(0), text("model"), recall(0), pickle.SETITEM),
    "20,000 levels of dictionaries": program(*[b"}" + text("model")] * 20_000, b"N", pickle.SETITEM * 20_000),
    "an array of more numbers than bytes": pickle.dumps({"a": np.zeros(1234)}).replace(LENGTH, LONGER),
    "one text encoded many times": program(
        *(text("a" * MEBIBYTE), remember(0), b"0", name("_codecs", "encode"), remember(1), b"0(", ENCODED, b"t0}")
    ),
    "one list of arguments many times": program(
        *(b"(" + b"N" * 100_000, b"t", remember(0), b"0", name("train", "Config"), remember(1), b"0(", CALLED, b"t0}")
    ),
    "integers that collide": program(b"}(", *COLLIDING, b"u"),
    "an integer of megabytes as a key": program(
        *(b"}", pickle.LONG4 + struct.pack("<i", 4 * MEBIBYTE) + b"\x01" * 4 * MEBIBYTE, b"N", pickle.SETITEM)
    ),
    "bytes longer than the file": program(pickle.BINBYTES8 + struct.pack("<Q", 10**12)),
    "a bytearray longer than the file": program(pickle.BYTEARRAY8 + struct.pack("<Q", 10**12)),
    "a frame longer than the file": program(pickle.FRAME + struct.pack("<Q", 10**12), b"}"),
    "a text longer than the file": program(pickle.BINUNICODE8 + struct.pack("<Q", 10**15)),
    "many dictionaries": program(b"(" + b"}" * 210_000),
    "a storage of 10^18 numbers": program(b"}", text("a"), *STORAGE, pickle.LONG1 + b"\x08" + struct.pack("<q", 10**18), b"tQs"),
}


@pytest.mark.parametrize("form", ["pdparams", "zip"])
@pytest.mark.parametrize("bomb", PICKLES)
def test_a_pickle_that_grows(bomb, form, tmp_path, monkeypatch):
    monkeypatch.setattr(pickle_machine, "MOST_STEPS", pickle_machine.MOST_STEPS // 10)
    path = tmp_path / f"x.{form}"
    if form == "zip":
        torch_zip(path, PICKLES[bomb], **{"0": b"1234"})
    else:
        path.write_bytes(PICKLES[bomb])
    with (
        bounded(),
        pytest.raises(
            WeightsError, match="x.*(damaged|no arrays|not a dictionary|no weights|known SegFormer|storages outside)"
        ) as raised,
    ):
        read(path)
    assert len(str(raised.value)) < 1000 and "\n" not in str(raised.value)


def test_a_tensor_that_repeats_its_storage(tmp_path):
    """Steps of 0 make a tensor of any size from one number."""
    storage = b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + b"K\x01tQ"
    wide = pickle.BININT + struct.pack("<i", 2**30)
    tensor = (
        name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + b"K\x00" + wide + b"\x85" + b"K\x00\x85" + b"\x89Nt" + b"R"
    )
    with bounded(), pytest.raises(WeightsError, match="repeats the 1 numbers of its storage"):
        read(torch_zip(tmp_path / "x.pth", program(b"}", text("a"), tensor, b"s"), **{"0": b"1234"}))


def test_a_checkpoint_of_huge_lengths(tmp_path, monkeypatch):
    monkeypatch.setattr(mindspore_file, "MOST_FIELDS", mindspore_file.MOST_FIELDS // 10)
    mindspore_file.write(tmp_path / "x.ckpt", {"a": np.ones((2, 2), np.float32)}, "float32")
    raw = (tmp_path / "x.ckpt").read_bytes()
    dims = b"\x08\x02\x08\x02"
    for lie in (b"\x08\xff\xff\xff\x7f", b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", b"\x08\x00"):
        grown = len(lie) - len(dims)
        head = bytes((raw[0], raw[1] + grown)) + raw[2:].replace(dims, lie).replace(
            bytes((0x12, raw[raw.index(dims) - 1])), bytes((0x12, raw[raw.index(dims) - 1] + grown)), 1
        )
        (tmp_path / "x.ckpt").write_bytes(head)
        with bounded(), pytest.raises(WeightsError, match=r"a of shape|an array of shape|not a protobuf message"):
            read(tmp_path / "x.ckpt")
    (tmp_path / "x.ckpt").write_bytes(b"\x08\x00" * 51_000)
    with bounded(), pytest.raises(WeightsError, match="more than 50000 fields"):
        read(tmp_path / "x.ckpt")


def test_a_safetensors_header_of_a_hundred_megabytes(tmp_path):
    with (tmp_path / "x.safetensors").open("wb") as file:
        file.write((100 * MEBIBYTE).to_bytes(8, "little") + b'{"a":')
        file.truncate(101 * MEBIBYTE)
    with bounded(most_bytes=20_000_000), pytest.raises(WeightsError, match="its header states 104857600 bytes"):
        read(tmp_path / "x.safetensors")


@pytest.mark.parametrize("nested", ["[" * 100_000, '{"weight_map":' * 100_000])
def test_nested_json(nested, tmp_path):
    raw = nested.encode()
    (tmp_path / "x.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw)
    (tmp_path / "model.safetensors.index.json").write_bytes(raw)
    with bounded(), pytest.raises(WeightsError, match="damaged or not a safetensors file"):
        read(tmp_path / "x.safetensors")
    with bounded(), pytest.raises(WeightsError, match="is damaged or no JSON"):
        read(tmp_path / "model.safetensors.index.json")


def test_an_index_of_many_megabytes(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {}, "x": "a" * (17 * MEBIBYTE)}))
    with bounded(most_bytes=20_000_000), pytest.raises(WeightsError, match="has more than 16 MiB; expected a small JSON file"):
        read(path)


def test_hdf5_that_grows(tmp_path):
    import h5py

    with h5py.File(tmp_path / "fill.h5", "w") as file:
        file.create_dataset("a", (10**12,), "f4", chunks=(1024,), compression="gzip")
    with h5py.File(tmp_path / "late.h5", "w") as file:
        file.create_dataset("a", (10**12,), "f4", fillvalue=1)
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        file.create_dataset("a", (1,), "f4", chunks=(2**28,), maxshape=(None,), compression="gzip")
    for path in ("fill", "late", "chunk"):
        with bounded(most_bytes=20_000_000), pytest.raises(WeightsError, match="which no weights need"):
            read(tmp_path / f"{path}.h5")


def test_hdf5_groups_without_end(tmp_path):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        group = file
        for _ in range(2000):
            group = group.create_group("a")
        group["b"] = file
    with bounded(), pytest.raises(WeightsError, match="more groups, or groups in groups, than weights need"):
        read(tmp_path / "x.h5")
    with h5py.File(tmp_path / "circle.h5", "w") as file:
        file.create_group("a")["again"] = file["/"]
    with bounded(), pytest.raises(WeightsError, match="holds no arrays"):
        read(tmp_path / "circle.h5")
