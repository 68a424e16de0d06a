"""The keys that a command reads are those of its `--help`: the table is held to the commands, which run here and are watched."""

import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from parity_tests.conftest import need
from parity_tests.folder_dataset import write_folder_dataset
from parity_tests.support import hot_arrays
from parity_tests.training_runs import SMALL, flags
from segformer_core.cli import COMMANDS
from segformer_core.commands import compare_backends
from segformer_core.commands.opening import connector
from segformer_core.config.keys import GROUPS, KEYS, Config
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.export import export
from segformer_core.export.verification import Comparison
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

SPEC = segformer("b0", class_count=3)
SLIDING = SMALL | {"dataset_num_parallel_workers": 0, "eval_mode": "slide", "eval_crop_size": [64, 64], "eval_stride": [32, 32]}
RUNS = {
    "train": SLIDING | {"batch_size": 2, "epoch_size": 2, "ohem_threshold": 0.7},
    "evaluate": SLIDING | {"report": "page"},
    "infer": SLIDING,
    "export": SMALL | {"export_path": "there.onnx", "export_force": True, "export_precision": "int8"},
    "compare_backends": SLIDING,
}
DESCRIBED = {"drop_path_rate", "head_dropout_rate"}
"""Read to describe the network; only training depends on them."""
UNREAD = {
    **dict.fromkeys(("execution_mode", "compile_cache"), "MindSpore's"),
    "compile": "MindSpore's in training; PyTorch's where the network only labels, which the runs of the other commands show",
    **dict.fromkeys(("pretrained_ckpt_path", "ckpt_part", "stem_init"), "the run starts from the seed"),
    "device_id": "a CPU has no number",
    "export_web_runtime": "for WEB alone",
}
"""Keys that these runs leave alone, and why."""


class Watched:
    """What was read of a group by anything but dataclasses' own copies and listings, which read every field."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def config(self, config: Config) -> Config:
        return replace(config, **{name: self.group(getattr(config, name)) for name in GROUPS})

    def group(self, group: object) -> object:
        kind = type(group)
        watch = self

        def read(instance, name):
            if name in KEYS and not sys._getframe(1).f_code.co_filename.endswith(("dataclasses.py", "<string>")):
                watch.names.add(name)
            return kind.__getattribute__(instance, name)

        watched = type(kind.__name__, (kind,), {"__getattribute__": read})
        return watched(**{item.name: getattr(group, item.name) for item in fields(kind)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("reads")
    write_folder_dataset(root / "set", images=4, validation=2)
    save_weights(root / "w.safetensors", SPEC, hot_arrays(SPEC))
    return root


class Quantizer:
    groups = ("all",)

    def write(self, groups, path):
        path.write_bytes(b"y")


def connect(runtime):
    """PyTorch, which exports an empty file that sees class 0 everywhere."""
    backend = connector("torch")(runtime)

    def opened(path, runtime):
        return lambda images: np.zeros((1, 3, images.shape[2] // 4, images.shape[3] // 4), np.float32)

    def quantizer(path, inputs):
        assert len(list(inputs)) == 4
        return Quantizer()

    exports = replace(
        backend.exports,
        write=lambda spec, arrays, form, path: path.write_bytes(b"x"),
        open=opened,
        quantizer=quantizer,
    )
    return replace(backend, exports=exports)


@pytest.mark.parametrize("command", RUNS)
def test_a_command_reads_what_its_help_shows(command, folder, monkeypatch, tmp_path):
    """Of compare_backends both backends are PyTorch here."""
    need("torch")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.onnx").touch()
    monkeypatch.setattr(export, "prove", lambda *_: Comparison(1, 1, 1.0, 0.0, 0, 0))
    monkeypatch.setattr(compare_backends, "connector", lambda _: connect)
    watched = Watched()
    weights = {f"{name}_ckpt_path": folder / "w.safetensors" for name in ("eval", "infer", "export")}
    config = watched.config(load_config(flags(RUNS[command] | weights | {"data_path": folder / "set"})))
    if command in COMMANDS:
        COMMANDS[command](config, connect)
    else:
        monkeypatch.setattr(compare_backends, "load_config", lambda *_: config)
        assert compare_backends.main([]) == 0
    described = DESCRIBED if command != "train" else set()
    assert watched.names - described - READS[command] == set(), "read, and not in the table"
    assert READS[command] - watched.names - UNREAD.keys() == set(), "in the table, and not read"


def test_the_comparison_of_exports_reads_what_its_parts_read():
    assert READS.keys() == RUNS.keys() | {"compare_exports"}
    assert READS["compare_exports"] == READS["compare_backends"] | {
        *("export_height", "export_width", "export_dynamic", "export_preprocess", "export_output"),
        *("export_calibration_images", "export_calibration_path", "export_int8_loss"),
        *("export_force", "export_probe", "export_web_runtime"),
    }


def test_every_key_is_of_some_command():
    assert frozenset().union(*READS.values()) == KEYS.keys()
