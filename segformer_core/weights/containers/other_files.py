"""Files that are often given as weights and hold none: each has its own sentence."""

import re
from collections.abc import Iterable
from pathlib import Path

from segformer_core.errors import WeightsError, brief
from segformer_core.weights.containers.tree import printable

FIRST_BYTES = 512
LFS = b"version https://git-lfs"
ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
}
TAR_AT, TAR = 257, b"ustar"
OLDEST_TORCH = b"sys_info"
"""The first member of the tar that PyTorch wrote before 0.2."""
EXPORTED = {
    ".onnx": "an ONNX network",
    ".pt2": "a program of torch.export",
    ".pte": "a program of ExecuTorch",
    ".mindir": "a MINDIR network",
    ".air": "an AIR network",
    ".om": "a network compiled for Ascend",
    ".tflite": "a TensorFlow Lite network",
    ".pb": "a TensorFlow graph",
    ".engine": "a TensorRT engine",
    ".mlmodel": "a Core ML network",
    ".pdmodel": "a PaddlePaddle program",
    ".gguf": "a GGUF file",
}
"""Suffix of a network without the names of its weights -> what it is."""
EXPORTED_MAGIC = {(4, b"TFL3"): ".tflite", (4, b"ET12"): ".pte", (0, b"GGUF"): ".gguf"}
MARKUP = re.compile(rb"<(!doctype|html|head|body|\?xml|error|!--)", re.IGNORECASE)
ANSWER = re.compile(
    r"not found|invalid|unauthori[sz]ed|forbidden|denied|restricted|gated|rate limit|too many|error|40[134]|429", re.IGNORECASE
)
"""Words of a server that sent something else than the file."""


def refuse_foreign(path: Path, first: bytes) -> None:
    """Raise WeightsError if a file with these first bytes is one of another kind."""
    if first.startswith(LFS):
        raise WeightsError(f"{path} is a git-lfs pointer, not the file itself; run git lfs pull, or download the file")
    _refuse_answers(path, first.lstrip(b"\xef\xbb\xbf \t\r\n"))
    form = next((name for magic, name in ARCHIVES.items() if first.startswith(magic)), "")
    if first.startswith(OLDEST_TORCH) and first[TAR_AT:].startswith(TAR):
        raise WeightsError(f"{path} was written by PyTorch before 0.2; load it with a PyTorch of that time and save it again")
    if form or first[TAR_AT:].startswith(TAR):
        raise WeightsError(f"{path} is a {form or 'tar'} archive; unpack it and name the weight file")
    suffix = next((kind for (at, magic), kind in EXPORTED_MAGIC.items() if first[at:].startswith(magic)), path.suffix.lower())
    if suffix in EXPORTED:
        raise exported(path, EXPORTED[suffix])


def exported(path: Path, what: str) -> WeightsError:
    return WeightsError(f"{path} is {what}, an export of weights and not the weights; name the weight file that it was made from")


def refuse_archive(path: Path, names: Iterable[str], weight_suffixes: tuple[str, ...]) -> WeightsError:
    """Why a zip archive of these members is no weight file."""
    members = set(names)
    last = {name.rpartition("/")[2] for name in members}
    if {"archive_format", "serialized_exported_program.json", "serialized_state_dict.json"} & last:
        return exported(path, EXPORTED[".pt2"])
    files = sorted(name for name in members if name.endswith(weight_suffixes) and not name.startswith("__MACOSX"))
    if files:
        shown = ", ".join(printable(name) for name in files[:3]) + (", …" if len(files) > 3 else "")
        return WeightsError(f"{path} is a zip archive that holds {shown}; unpack it and name the weight file")
    return WeightsError(f"{path} is a zip archive but not one that torch.save wrote; unpack it and name the weight file")


def _refuse_answers(path: Path, text: bytes) -> None:
    again = "fetch the file itself (on a web site the link named download or raw)"
    if MARKUP.match(text):
        page = "an XML answer of a server" if text[:5].lower() in (b"<?xml", b"<erro") else "a web page"
        raise WeightsError(f"{path} is {page}, not a weight file; {again}")
    words = text[:200].decode(errors="ignore")
    if not words.replace("\n", " ").replace("\r", " ").replace("\t", " ").isprintable():
        return
    if (text.startswith(b"{") and path.suffix != ".json") or ANSWER.search(words):
        raise WeightsError(f"{path} is a text that begins with {brief(words[:80])}, not a weight file; {again}")
