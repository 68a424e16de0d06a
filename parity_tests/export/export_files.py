"""What the tests of export share: a small network, its form as a file, and backends that write wrong files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from parity_tests import training_runs
from parity_tests.conftest import need
from parity_tests.support import hot_arrays
from segformer_core.cli import DONE, main
from segformer_core.commands.opening import connector
from segformer_core.config.load import load_config
from segformer_core.protocol.form import FORMATS, Form
from segformer_core.spec.model import segformer

SPEC = segformer("b0", class_count=3)
ARRAYS = hot_arrays(SPEC)
SMALL = training_runs.SMALL | {"eval_batch_size": 2}


def connected(backend: str):
    need(backend)
    if backend == "torch":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            need(package)
    return connector(backend)


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
