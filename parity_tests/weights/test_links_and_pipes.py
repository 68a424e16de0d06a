"""A weight file names no other file, and only regular files are opened: nothing outside is read, nothing blocks."""

import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from parity_tests.weights.weight_files import assert_equal_arrays, foreign_arrays, loaded, saved, segmenter
from segformer_core.errors import UserError, WeightsError
from segformer_core.files import sha256_of_files
from segformer_core.weights.containers import directory
from segformer_core.weights.dialects import TRANSFORMERS_4
from segformer_core.weights.reading import read

ARRAYS = {"a": np.ones(4, np.float32), "b": np.zeros(2, np.float32)}


def external(file, path: Path) -> None:
    file.create_dataset("a", (4,), "f4", external=[(str(path / "secret"), 0, 16)])


def virtual(file, path: Path) -> None:
    import h5py

    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(path / "other.h5"), "a", (4,))
    file.create_virtual_dataset("a", layout)


def soft(file, path: Path) -> None:
    import h5py

    file["a"] = h5py.SoftLink("/nowhere")


def outside(file, path: Path) -> None:
    import h5py

    file["a"] = h5py.ExternalLink(str(path / "other.h5"), "a")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (external, "has external storage"),
        (virtual, "is a virtual dataset"),
        (soft, "is a link to another place"),
        (outside, "is a link to another place"),
    ],
)
@pytest.mark.parametrize("group", ["", "layers/deep"])
def test_hdf5_that_refers_to_other_files(make, what, group, tmp_path):
    import h5py

    (tmp_path / "secret").write_bytes(bytes(16))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = np.ones(4, np.float32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        make(file.require_group(group) if group else file, tmp_path)
    name = f"{group}/a".lstrip("/")
    with pytest.raises(WeightsError, match=f"x.h5 does not hold all of its weights: {name} {what}; expected one file"):
        read(tmp_path / "x.h5")


def test_hdf5_with_a_second_name_for_a_dataset(tmp_path):
    """A hard link stays inside the file: it is read once. References are no weights."""
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = np.arange(4, dtype=np.float32)
        file["b"] = file["a"]
        file["reference"] = np.array([file["a"].ref], dtype=h5py.ref_dtype)
        file["nothing"] = h5py.Empty("f4")
        file["words"] = "text"
        file["type"] = np.dtype("f4")
    assert_equal_arrays(loaded(tmp_path / "x.h5"), {"a": np.arange(4, dtype=np.float32)})


def test_hdf5_compressed_as_h5py_does_is_read(tmp_path):
    import h5py

    values = np.random.default_rng(0).standard_normal((70, 30)).astype(np.float32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=values, compression="gzip", shuffle=True, fletcher32=True, chunks=(16, 16))
        file.create_dataset("b", data=values, chunks=(16, 16))
    assert_equal_arrays(loaded(tmp_path / "x.h5"), {"a": values, "b": values})
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file.create_dataset("a", data=values, compression="lzf")
    with pytest.raises(WeightsError, match=r"holds /a compressed by HDF5's filters \[32000\]; expected gzip \(1\) or none"):
        loaded(tmp_path / "y.h5")


def test_a_hdf5_chunk_that_unpacks_to_more_than_it_states(tmp_path):
    import zlib

    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("a", (256,), "f4", chunks=(256,), compression="gzip")
        dataset.id.write_direct_chunk((0,), zlib.compress(bytes(10**7)))
    with pytest.raises(WeightsError, match="a chunk unpacks to more than its stated size"):
        loaded(tmp_path / "x.h5")


INDEXES = {
    "the folder above": ({"a": ".."}, r"names the shard '\.\.'; expected files beside the index"),
    "this folder": ({"a": "."}, r"names the shard '\.'; expected files beside"),
    "no name": ({"a": ""}, "names the shard ''; expected files beside"),
    "a path": ({"a": "folder/x.safetensors"}, "names the shard 'folder/x.safetensors'; expected files beside"),
    "a path upwards": ({"a": "../x.safetensors"}, "names the shard '../x.safetensors'; expected files beside"),
    "an absolute path": ({"a": "/etc/passwd"}, "names the shard '/etc/passwd'; expected files beside"),
    "NUL": ({"a": "x\0.safetensors"}, r"names the shard 'x\\x00.safetensors'; expected files beside"),
    "a lone surrogate": ({"a": "\ud800"}, r"names the shard '\\ud800'; expected files beside"),
    "a backslash": ({"a": "..\\x"}, "expected files beside"),
    "300 letters": ({"a": "x" * 300}, r"names the shard 'x{118}…, which is missing|cannot be read: File name too long"),
    "itself": ({"a": "model.safetensors.index.json"}, "an index too; expected files of weights"),
    "another index": ({"a": "other.index.json"}, "an index too; expected files of weights"),
    "a folder": ({"a": "folder"}, "names the shard 'folder', which is a folder"),
    "a file that is not there": ({"a": "y.safetensors"}, "names the shard 'y.safetensors', which is missing; fetch all files"),
    "a pipe": ({"a": "pipe"}, "pipe is a named pipe; expected a file or a folder of weights"),
    "no shards": ({}, "names no shards: its weight_map is empty"),
    "a list": (["x.safetensors"], r"is not an index of shards \(weight_map is \['x.safetensors'\]\); expected"),
    "a number": ({"a": 3}, r"is not an index of shards \(weight_map is {'a': 3}\)"),
    "a list as a shard": ({"a": ["x"]}, r"is not an index of shards \(weight_map is {'a': \['x'\]}\)"),
    "a shard without the array": ({"c": "x.safetensors"}, "says that c lies in x.safetensors, which does not hold it"),
    "600 shards": ({str(i): f"{i}.bin" for i in range(600)}, "names 600 shards; expected 500 at most"),
}


@pytest.mark.parametrize("case", INDEXES)
def test_an_index_names_files_beside_it(case, tmp_path):
    weight_map, sentence = INDEXES[case]
    saved(tmp_path / "x.safetensors", ARRAYS)
    saved(tmp_path.parent / "x.safetensors", ARRAYS)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "other.index.json").write_text(json.dumps({"weight_map": {"a": "model.safetensors.index.json"}}))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    for path in (index, tmp_path):
        with pytest.raises(WeightsError, match=sentence) as raised:
            read(path)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", '{"weight_map"', '{"metadata": {}}', "\xff", '{"weight_map": 1e999}'])
def test_an_index_that_is_none(text, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_bytes(text.encode("latin1"))
    with pytest.raises(WeightsError, match="is not an index of shards|is damaged or no JSON|a JSON object|is empty; fetch"):
        read(tmp_path)


def test_shards_of_the_hubs_cache_are_links(tmp_path):
    """snapshots/…/model.safetensors -> ../../blobs/…"""
    arrays = foreign_arrays(TRANSFORMERS_4, segmenter("b0"))
    names = list(arrays)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    for file, part in {"a.safetensors": names[:50], "b.safetensors": names[50:]}.items():
        saved(tmp_path / f"blobs/{file}0", {name: arrays[name] for name in part})
        (tmp_path / f"snapshot/{file}").symlink_to(f"../blobs/{file}0")
    weight_map = {name: "a.safetensors" if name in names[:50] else "b.safetensors" for name in names}
    (tmp_path / "blobs/index").write_text(json.dumps({"weight_map": weight_map}))
    (tmp_path / "snapshot/model.safetensors.index.json").symlink_to("../blobs/index")
    assert_equal_arrays(loaded(tmp_path / "snapshot"), arrays)


def special(kind: str, path: Path) -> None:
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as it:
            it.bind(str(path))
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a device"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".ckpt", ".h5", ""])
def test_pipes_sockets_and_devices_are_not_opened(kind, suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    special(kind, Path(f"x{suffix}"))
    Path(f"link{suffix}").symlink_to(f"x{suffix}")
    for name in ("x", "link"):
        with pytest.raises(WeightsError, match=f"{name}{suffix} is {kind}; expected a file or a folder of weights"):
            read(f"{name}{suffix}")
        with pytest.raises(UserError, match=f"is {kind}; expected a regular file"):
            sha256_of_files(Path(f"{name}{suffix}"))


@pytest.mark.parametrize("name", directory.MODEL_FILES)
@pytest.mark.parametrize("kind", ["a named pipe", "a device"])
def test_pipes_and_devices_in_a_folder_are_named(kind, name, tmp_path):
    special(kind, tmp_path / name)
    with pytest.raises(WeightsError, match=f"{name} is {kind}; expected a file or a folder of weights"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["x" * 300, "x\0y", "\ud800", "loop", "missing/../x", "x.pth/y"])
def test_names_that_no_file_can_have(name, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "x.pth").write_bytes(b"x")
    with pytest.raises(WeightsError, match="no such weight file|cannot be read|Too many levels"):
        read(f"{tmp_path}/{name}")


def test_a_folder_that_links_to_itself(tmp_path):
    (tmp_path / "model.safetensors").symlink_to(".")
    with pytest.raises(WeightsError, match="holds none of"):
        read(tmp_path)
