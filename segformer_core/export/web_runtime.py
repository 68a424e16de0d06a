"""ONNX Runtime Web, which runs an ONNX file in a browser: one version of npm's package, fetched once and then kept.

Its hash is known here, so it does not matter from whom it comes.
"""

import base64
import hashlib
import io
import tarfile
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path

from segformer_core.errors import ConfigError, UserError, brief
from segformer_core.files import atomic_write, cache_folder, special_file, writable_directory

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the archive, in base64, as the registry states it in `dist.integrity`."""
ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"
"""The archive's name in the registry, and the one that `npm pack` gives it."""
LONGEST_ARCHIVE = 2**26
"""Bytes; it has 33 million."""
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""What a page needs of the archive's folder package/dist: the program, and its WebAssembly, which computes on the CPU."""

REGISTRY = "https://registry.npmjs.org"
REGISTRY_VARIABLE = "npm_config_registry"
"""npm's own variable of the environment, in small or capital letters: another registry."""
PATIENCE = 60
"""Seconds without an answer after which fetching is given up."""


def runtime_files(path: str, environment: Mapping[str, str], log: Callable[[str], None]) -> dict[str, bytes]:
    """Name -> bytes of FILES, from the archive at `path`; if that is empty, from the cache, into which it is fetched once.

    Raises ConfigError for a `path` that is not the archive, UserError if it can neither be found nor fetched.
    """
    if path:
        return _unpacked(_given(Path(path)))
    kept = cache_folder(environment) / ARCHIVE
    if kept.is_file() and (data := kept.read_bytes()) and is_the_archive(data):
        return _unpacked(data)
    url = f"{registry(environment)}/{PACKAGE}/-/{ARCHIVE}"
    instead = f"fetch it elsewhere by npm pack {PACKAGE}@{VERSION} and name the file with --export_web_runtime"
    log(f"fetching {url} once, to keep it in {kept.parent} …")
    try:
        data = fetched(url)
    except (OSError, HTTPException, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise UserError(f"export_format WEB needs {url}, which cannot be fetched ({brief(str(why))}); {instead}") from error
    if not is_the_archive(data):
        raise UserError(f"what {url} gives is not {PACKAGE} {VERSION}: its SHA-512 is another one; {instead}")
    writable_directory(kept.parent)
    atomic_write(kept, lambda temporary: temporary.write_bytes(data))
    return _unpacked(data)


def is_the_archive(data: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(data).digest()).decode() == SHA512


def fetched(url: str) -> bytes:
    """Raises OSError or HTTPException, ValueError for an address that is none."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.read(LONGEST_ARCHIVE)


def registry(environment: Mapping[str, str]) -> str:
    """The address of npm's registry, or of the one that npm itself would take."""
    named = (environment.get(name) for name in (REGISTRY_VARIABLE, REGISTRY_VARIABLE.upper()))
    return next(filter(None, named), REGISTRY).rstrip("/")


def _given(path: Path) -> bytes:
    expected = f"expected the file that npm pack {PACKAGE}@{VERSION} writes"
    if kind := special_file(path):
        raise ConfigError(f"export_web_runtime {path} is {kind}; {expected}")
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_ARCHIVE)
    except OSError as error:
        raise ConfigError(f"cannot read export_web_runtime {path} ({error.strerror}); {expected}") from error
    if not is_the_archive(data):
        raise ConfigError(f"export_web_runtime {path} is not {PACKAGE} {VERSION}: its SHA-512 is another one; {expected}")
    return data


def _unpacked(data: bytes) -> dict[str, bytes]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for name in FILES:
            member = archive.extractfile(f"package/dist/{name}")
            assert member is not None, "the hash says that it is there"
            files[name] = member.read()
    return files
