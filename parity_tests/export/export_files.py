"""What the tests of export share: a small network, its form as a file, and backends that write wrong files."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from parity_tests import training_runs
from parity_tests.conftest import need
from parity_tests.support import hot_arrays
from segformer_core.cli import DONE, main
from segformer_core.commands.opening import connector
from segformer_core.config.keys import RuntimeConfig
from segformer_core.config.load import load_config
from segformer_core.files import atomic_write
from segformer_core.protocol.form import FORMATS, Form
from segformer_core.protocol.learner import Backend, Connect
from segformer_core.spec.model import SegFormer, segformer
from segformer_core.weights.store import sha256

SPEC = segformer("b0", class_count=3)
ARRAYS = hot_arrays(SPEC)
SMALL = training_runs.SMALL | {"eval_batch_size": 2}


Write = Callable[[SegFormer, Mapping[str, np.ndarray], Form, Path], None]
KEPT: list[Path] = []
"""The folder of `written_once`, which all processes of a run share; none in other rooms."""


def written_once(backend: str, own: Write, spec: SegFormer, arrays: Mapping[str, np.ndarray], form: Form, path: Path) -> None:
    """As `own`, the backend's `write`; but a file of the same network, weights and form is a copy of the first."""
    if not KEPT:
        own(spec, arrays, form, path)
        return
    case = hashlib.sha256(repr((backend, spec, sha256(arrays), form)).encode()).hexdigest()
    if not (kept := KEPT[0] / f"{case}{path.suffix}").exists():
        own(spec, arrays, form, path)
        atomic_write(kept, lambda temporary: shutil.copy(path, temporary))
    else:
        shutil.copy(kept, path)


def needed(backend: str) -> None:
    need(backend)
    if backend == "torch":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            need(package)


def connected(backend: str) -> Connect:
    """The backend's `connect`, whose `write` computes equal files once."""
    needed(backend)

    def connect(runtime: RuntimeConfig) -> Backend:
        opened = connector(backend)(runtime)
        write = partial(written_once, backend, opened.exports.write)
        return replace(opened, exports=replace(opened.exports, write=write))

    return connect


def form(name: str = "ONNX", **changes) -> Form:
    data = load_config([]).data
    sound = Form(name, (64, 96), False, "fp32", False, False, data.img_norm_mean, data.img_norm_std, 3)
    return replace(sound, **changes)


def described(path: Path) -> dict:
    return json.loads(path.with_name(path.name + ".json").read_text())


Exporter = Callable[..., Path]
"""(backend, format, further keys) -> the file that `export` writes. Each file is made once."""


def exporter(folder: Path, weights: Path, factory) -> Exporter:
    made: dict[object, Path] = {}

    def make(backend: str, name: str, **keys: object) -> Path:
        connect, case = connected(backend), (name, *sorted((key, str(value)) for key, value in keys.items()))
        if case not in made:
            place = factory.mktemp("exported")
            paths = {"data_path": folder, "export_ckpt_path": weights, "export_path": place, "export_format": name}
            assert main("export", connect, training_runs.flags(SMALL | paths | {"export_name": "net"} | keys)) == DONE
            made[case] = place / f"net{FORMATS[name].suffix}"
            assert {path.name for path in place.iterdir()} == {made[case].name, f"{made[case].name}.json"}
        return made[case]

    return make


def wrongly(connect, write):
    """A `connect` whose backend writes files with `write(own, …)`, where `own` is the backend's own function."""

    def connect_wrongly(runtime):
        backend = connect(runtime)

        def written(*arguments):
            write(backend.exports.write, *arguments)

        return replace(backend, exports=replace(backend.exports, write=written))

    return connect_wrongly
