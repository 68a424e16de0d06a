"""In graph mode MindSpore compiles before the first step or image. This is announced; `compile_cache` keeps one graph.

`backend_torch/compiling.py` is its twin: it compiles the network that labels images, if at all.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mindspore as ms

import segformer_core
from backend_mindspore.device import ISA
from backend_mindspore.distributed import world_size
from backend_mindspore.native.library import is_kept
from segformer_core.config.keys import Config
from segformer_core.files import writable_directory
from segformer_core.protocol.learner import LogLine, Training
from segformer_core.spec import model as spec

SWITCH, FOLDER = "MS_COMPILER_CACHE_ENABLE", "MS_COMPILER_CACHE_PATH"


class Compiling:
    """A context for calls of a graph: the first call with a shape compiles, which is logged.

    MindSpore does not compare the numbers inside a cached graph with those of the program. So each network, configuration, shape
    and state of the sources has its own folder below `compile_cache`. A process opens one folder, and takes the file of the first
    graph there for its own first graph, the second's for its second, whatever they are. So it keeps one graph: the training
    graph, or where nothing is trained that of the first image's shape.
    """

    opened = ""
    """The folder that MindSpore has opened in this process."""

    def __init__(
        self, spec: spec.SegFormer, config: Config, training: Training | None, log: LogLine, library: str, *built_in: object
    ):
        graph_mode = config.runtime.execution_mode == "graph"
        self.variant, self.log = spec.variant, log if graph_mode else lambda _: None
        self.cache = config.runtime.compile_cache if graph_mode and is_kept(library) else ""
        self.kept = "training" if training else "inference"
        numbers = (spec, config.optimizer, config.loss, config.training.accumulation_steps, training, library, built_in)
        device = ms.get_context("device_target"), os.environ.get(ISA)  # both decide the form of a graph (`kernels.py`)
        self.key = (ms.__version__, device, world_size(), numbers, sources_hash() if self.cache else "")
        self.compiled: set[tuple[str, tuple[int, ...] | None]] = set()

    @contextmanager
    def __call__(self, what: str, shape: tuple[int, ...] | None) -> Iterator[None]:
        """`what` is "training" or "inference"; `shape` is that of the images, or None for a graph that takes any size."""
        if (what, shape) in self.compiled:
            yield
            return
        self.compiled.add((what, shape))
        size = "×".join(map(str, shape)) if shape else "any size"
        self.log(f"compiling the {what} graph of mit_{self.variant} for {size} (seconds for B0, a minute or two for B5) …")
        start = time.perf_counter()
        with self._cached(what, shape):
            yield
        self.log(f"compiled and run once in {time.perf_counter() - start:.1f} s")

    @contextmanager
    def _cached(self, what: str, shape: tuple[int, ...] | None) -> Iterator[None]:
        kept = self.cache and what == self.kept and not Compiling.opened
        if not kept or not Path(sys.argv[0]).is_file():  # MindSpore reads the program's own file
            yield
            return
        name = hashlib.sha256(repr((self.key, what, shape)).encode()).hexdigest()[:16]
        Compiling.opened = str(writable_directory(Path(self.cache) / name).resolve())
        before = {name: os.environ.get(name) for name in (SWITCH, FOLDER)}
        os.environ |= {SWITCH: "1", FOLDER: Compiling.opened}
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def sources_hash() -> str:
    """SHA-256 of all files that a graph can come from: those of this backend and of the core."""
    digest = hashlib.sha256()
    for package in (Path(__file__).parent, Path(segformer_core.__file__).parent):
        for path in sorted(package.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
