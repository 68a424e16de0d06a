"""Files of other kinds, given as weights: each has its own true sentence. And Keras archives, which are read."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from parity_tests.weights.hostile import bounded, torch_bytes
from parity_tests.weights.weight_files import assert_equal_arrays, foreign_arrays, listed_shapes, loaded, random_arrays, segmenter
from segformer_core.errors import WeightsError
from segformer_core.weights import containers
from segformer_core.weights.containers import hdf5_file
from segformer_core.weights.containers.stored import Stored
from segformer_core.weights.dialects import NVLABS
from segformer_core.weights.reading import read

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 15061351\n"
PAGE = b"\n<!DOCTYPE html>\n<html><head><title>mit_b0.pth - Google Drive</title></head></html>"
XML = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>'
MISSING, GATED = b'{"error":"Repository not found"}', b"Access to model x/y is restricted. You must be authenticated."


def tar_bytes(member: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(member), io.BytesIO())
    return buffer.getvalue()


ANSWERS = {
    "pointer": (POINTER, "is a git-lfs pointer, not the file itself; run git lfs pull, or download the file"),
    "page": (PAGE, "is a web page, not a weight file; fetch the file itself"),
    "upper case": (b"<HTML><BODY>404</BODY></HTML>", "is a web page, not a weight file"),
    "xml": (XML, "is an XML answer of a server, not a weight file"),
    "json": (MISSING, r"is a text that begins with '\{\"error\":\"Repository not found\"\}', not a weight file; fetch the file"),
    "text": (b"Entry not found", "is a text that begins with 'Entry not found', not a weight file"),
    "gated": (GATED, "is a text that begins with 'Access to model x/y is restricted"),
    "tar": (tar_bytes("model.pth"), "is a tar archive; unpack it and name the weight file"),
    "the oldest torch": (tar_bytes("sys_info"), "was written by PyTorch before 0.2; load it with a PyTorch of that time"),
    "gzip": (b"\x1f\x8b\x08" + bytes(9), "is a gzip archive; unpack it"),
    "rar": (b"Rar!\x1a\x07\x00" + bytes(9), "is a rar archive; unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(9), "is a 7z archive; unpack it"),
    "xz": (b"\xfd7zXZ\x00" + bytes(9), "is a xz archive; unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(9), "is a zstd archive; unpack it"),
    "tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(9), "is a TensorFlow Lite network, an export of weights and not the weights"),
}
SUFFIXES = (".pth", ".safetensors", ".ckpt", ".pdparams", ".h5", "", ".txt")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ANSWERS)
def test_what_is_saved_in_place_of_weights(kind, suffix, tmp_path):
    raw, sentence = ANSWERS[kind]
    (tmp_path / f"x{suffix}").write_bytes(raw)
    with pytest.raises(WeightsError, match=f"x{suffix} {sentence}") as raised:
        read(tmp_path / f"x{suffix}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "model.weights.h5"])
def test_pointers_in_a_folder(name, tmp_path):
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(WeightsError, match=f"{name} is a git-lfs pointer"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "what"),
    [
        (".onnx", "an ONNX network"),
        (".mindir", "a MINDIR network"),
        (".tflite", "a TensorFlow Lite network"),
        (".om", "a network compiled for Ascend"),
        (".pb", "a TensorFlow graph"),
        (".engine", "a TensorRT engine"),
        (".pdmodel", "a PaddlePaddle program"),
    ],
)
def test_exported_networks_are_no_weights(suffix, what, tmp_path):
    (tmp_path / f"x{suffix}").write_bytes(b"\x0a\x05\x01\x02\x03\xff" * 20)
    with pytest.raises(
        WeightsError, match=f"x{suffix} is {what}, an export of weights and not the weights; name the weight file"
    ):
        read(tmp_path / f"x{suffix}")


ZIPS = {
    "two weight files": (["a.pth", "logs/b.ckpt", "readme.md"], r"holds a.pth, logs/b.ckpt; unpack it and name the weight file"),
    "many": ([f"{i}.h5" for i in range(9)], r"holds 0.h5, 1.h5, 2.h5, …; unpack it"),
    "none": (["readme.md"], "a zip archive but not one that torch.save wrote"),
    "nothing": ([], "a zip archive but not one that torch.save wrote|of no known kind"),
    "torch.export": (["x/archive_format", "x/models/model.json"], "is a program of torch.export, an export of weights"),
    "torch.export before 2.8": (["serialized_exported_program.json", "version"], "is a program of torch.export"),
    "a name on two lines": (["a\nb.pth"], r"holds a\\nb.pth; unpack it"),
}


@pytest.mark.parametrize("case", ZIPS)
def test_zip_archives_of_other_things(case, tmp_path):
    names, sentence = ZIPS[case]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    with pytest.raises(WeightsError, match=sentence) as raised:
        read(tmp_path / "x.zip")
    assert "\n" not in str(raised.value)


def typed(raw: bytes, path: Path, name: str) -> Stored:
    path.write_bytes(raw)
    with containers.opened(path) as content:
        stored = content.tree[name]
        with pytest.raises(WeightsError, match="expected floats"):
            stored.load()
        return stored


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2", "complex64", "complex128"])
def test_types_that_cannot_be_read_have_their_name_in_torch_files(kind, tmp_path, need_torch):
    import torch

    tensor = torch.ones(2, 3).to(getattr(torch, kind))
    assert typed(torch_bytes({"a": tensor}), tmp_path / "x.pth", "a").shape == (2, 3)
    assert typed(torch_bytes({"a": tensor}), tmp_path / "x.pth", "a").type_name == kind


@pytest.mark.parametrize("zipped", [True, False])
def test_quantised_sparse_and_meta_tensors(zipped, tmp_path, need_torch):
    import warnings

    import torch

    dense = torch.ones(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors = {
            "quint8": torch.quantize_per_tensor(dense, 1.0, 0, torch.quint8),
            "qint8": torch.quantize_per_channel(dense, torch.ones(2), torch.zeros(2), 0, torch.qint8),
            "sparse": dense.to_sparse(),
            "meta": torch.zeros(2, 3, device="meta"),
        }
        compressed = dense.to_sparse_csr()
    for kind, tensor in [*tensors.items(), ("sparse", compressed)]:
        raw = torch_bytes({"a": tensor}, _use_new_zipfile_serialization=zipped)
        stored = typed(raw, tmp_path / "x.pth", "a")
        assert (stored.type_name, stored.shape) == (kind, (2, 3))


def test_unsigned_and_untyped_storages(tmp_path, need_torch):
    """torch.uint16 lies in a storage without a type."""
    import torch

    values = torch.arange(6).to(torch.uint16).reshape(2, 3)
    (tmp_path / "x.pth").write_bytes(torch_bytes({"a": values.T}))
    assert np.array_equal(loaded(tmp_path / "x.pth")["a"], values.numpy().T)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_numpy_arrays_of_ml_dtypes(protocol, tmp_path):
    """bfloat16 is read, float8 is named."""
    import pickle

    import ml_dtypes

    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"a": np.asfortranarray(values).astype(ml_dtypes.bfloat16)}, protocol))
    assert_equal_arrays(loaded(path), {"a": values})
    stored = typed(pickle.dumps({"a": values.astype(ml_dtypes.float8_e4m3fn)}, protocol), path, "a")
    assert (stored.type_name, stored.shape) == ("float8_e4m3fn", (2, 3))


def test_a_torch_file_unpacked_and_packed_again(tmp_path, need_torch):
    """Compressed, and without the folder at its root."""
    import torch

    (tmp_path / "x.pth").write_bytes(torch_bytes({"a": torch.arange(3)}))
    with zipfile.ZipFile(tmp_path / "x.pth") as old, zipfile.ZipFile(tmp_path / "y.pth", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name.partition("/")[2], old.read(name))
    assert loaded(tmp_path / "y.pth")["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("code", "kind"), [("F8_E4M3", "float8_e4m3fn"), ("F8_E5M2", "float8_e5m2"), ("C64", "complex64")])
def test_types_that_cannot_be_read_have_their_name_in_safetensors(code, kind, tmp_path):
    width = 8 if code == "C64" else 1
    header = json.dumps({"a": {"dtype": code, "shape": [2, 3], "data_offsets": [0, 6 * width]}}).encode()
    header += b" " * (-len(header) % 8)
    stored = typed(len(header).to_bytes(8, "little") + header + bytes(6 * width), tmp_path / "x.safetensors", "a")
    assert (stored.type_name, stored.shape) == (kind, (2, 3))


@pytest.mark.parametrize("form", ["pth", "pdparams", "h5"])
def test_a_network_of_complex_numbers_is_refused_by_its_type(form, tmp_path, need_torch):
    import pickle

    import h5py
    import torch

    arrays = {name: array.astype(np.complex64) for name, array in foreign_arrays(NVLABS, segmenter("b0")).items()}
    path = tmp_path / f"x.{form}"
    if form == "pth":
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    elif form == "pdparams":
        path.write_bytes(pickle.dumps(arrays))
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    with pytest.raises(WeightsError, match="is of type complex64; expected floats"):
        read(path)


def keras_archive(path: Path, arrays: dict[str, np.ndarray], compression: int = zipfile.ZIP_STORED) -> Path:
    """As Keras 3 writes it."""
    hdf5_file.write(path.with_suffix(".h5"), arrays, "float32")
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", '{"class_name": "SegFormerImageSegmenter"}')
        archive.writestr("model.weights.h5", path.with_suffix(".h5").read_bytes())
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("names", ["keras_hub_seg_h5_b0", "keras_hub_mit_h5_b0", "keras_hub_imagenet_h5_b0"])
def test_a_keras_archive_is_read_as_the_file_inside(names, compression, tmp_path):
    path = keras_archive(tmp_path / "x.keras", random_arrays(listed_shapes(names)), compression)
    weights, inside = read(path), read(tmp_path / "x.h5")
    assert weights.container == "Keras archive" and weights.architecture == inside.architecture
    assert weights.files == (path,) and weights.dialect is inside.dialect
    assert_equal_arrays(weights.atoms, inside.atoms)


def test_a_keras_archive_that_is_damaged_or_grows(tmp_path):
    import h5py

    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n and then nothing")
    with pytest.raises(WeightsError, match="x.keras is truncated or damaged"):
        read(tmp_path / "x.keras")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file.create_dataset("a", (10**12,), "f4", chunks=(1024,), compression="gzip")
    with zipfile.ZipFile(tmp_path / "y.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(tmp_path / "y.h5", "model.weights.h5")
    with bounded(most_bytes=20_000_000), pytest.raises(WeightsError, match="which no weights need"):
        read(tmp_path / "y.keras")
