"""The network that labels images, compiled where the key `compile` asks for it or where that pays, else run as it is.

`backend_mindspore/compiling.py` is its twin. Here weights are an input of what is compiled: it sees those that are loaded later.
"""

import os
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segformer_core.config.keys import Config
from segformer_core.errors import one_line
from segformer_core.files import writable_directory
from segformer_core.protocol.learner import LogLine
from segformer_core.spec import model as spec

PAYS_AFTER = 5_000_000_000
"""The pixels of one shape, such as 9500 images of 512×1024, after which `auto` compiles for it.

B0 takes the compiler 79 s of the CPU, and such an image then takes 0.111 s in place of 0.119 (AMD EPYC, torch 2.13): what would
have been won on about as many pixels pays for it. So no run takes over a fourteenth longer than one that is never compiled. Time
of compiler and network both grow with the blocks, so one number is for all. It counts pixels, not seconds: a run that is repeated
computes the same.
"""
PAYS_AFTER_WITH_CACHE = 300_000_000
"""The same where `compile_cache` keeps what is compiled: reading it takes 4 s."""
MOST_SHAPES = 8
"""PyTorch compiles one function for no more."""
FOLDER, COMPILER = "TORCHINDUCTOR_CACHE_DIR", "CXX"
"""Variables that PyTorch reads: its folder for what is compiled, and the C++ compiler."""
USERS_FOLDER = os.environ.get(FOLDER)
"""PyTorch sets the variable itself, to a folder of its own, once it has compiled."""


class Compiling:
    """(B, C, H, W) -> logits, by the network or by what was compiled of it for the shape; what is compiled is logged.

    A learner that trains is never compiled: its evaluations are the same, bit for bit, whether or not a run was interrupted.
    """

    def __init__(self, spec: spec.SegFormer, config: Config, built_in: object, log: LogLine, model: Any):
        self.variant, self.log, self.model, self.evaluation = spec.variant, log, model, config.evaluation
        self.wanted = "False" if built_in else config.runtime.compile
        if self.wanted == "auto" and config.runtime.precision not in ("auto", "fp32"):
            self.wanted = "False"  # on a CPU bf16 is slower compiled: 0.114 s for B0 at 512×1024, 0.100 as it is
        self.cache = config.runtime.compile_cache
        self.graph: Any = None
        self.compiled: set[tuple[int, ...]] = set()
        self.pixels: Counter[tuple[int, ...]] = Counter()

    def __call__(self, images: Tensor) -> Tensor:
        shape = tuple(images.shape)
        if shape in self.compiled:
            return self.graph(images)
        return self._compiled(images) if self._pays(shape, images.device) else self.model(images)

    def _pays(self, shape: tuple[int, ...], device: torch.device) -> bool:
        """Whether this shape is to be compiled now."""
        if self.wanted == "False":
            return False
        if self.wanted == "auto":
            self.pixels[shape] += shape[0] * shape[2] * shape[3]
            enough = PAYS_AFTER_WITH_CACHE if self.cache else PAYS_AFTER
            if device.type != "cpu" or self.pixels[shape] <= enough:
                return False
        return len(self.compiled) < self._most

    @property
    def _most(self) -> int:
        """The number of shapes to compile for, since each takes the compiler; all others run as they are.

        Images of one size have one shape at each scale, and windows that are cut to a smaller image another one.
        """
        windows = self.evaluation.eval_mode != "whole"
        return min(len(self.evaluation.eval_scales) * (2 if windows else 1), MOST_SHAPES)

    def _compiled(self, images: Tensor) -> Tensor:
        compiler = os.environ.get(COMPILER, "g++")
        if images.device.type == "cpu" and not shutil.which(compiler):
            return self._eager(images, f"there is no C++ compiler {compiler}; install it, or set compile False")
        size = "×".join(map(str, images.shape))
        self.log(f"compiling the inference graph of mit_{self.variant} for {size} (a minute for B0, several for B5) …")
        start = time.perf_counter()
        try:
            with self._cached(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch's own, of its own modules
                self.graph = self.graph or torch.compile(self.model, dynamic=False, fullgraph=True, options=options())
                logits = self.graph(images)
        except (RuntimeError, OSError, ImportError) as error:
            cause = error.__cause__ or error.__context__ or error
            first = (str(cause) or type(cause).__name__).splitlines()[0]
            return self._eager(images, f"PyTorch does not compile it ({one_line(first)})")
        self.compiled.add(tuple(images.shape))
        self.log(f"compiled and run once in {time.perf_counter() - start:.1f} s")
        return logits

    def _eager(self, images: Tensor, reason: str) -> Tensor:
        """The network as it is, from now on for all shapes that are not compiled."""
        self.wanted = "False"
        self.log(f"the network runs as it is, not compiled: {reason}")
        return self.model(images)

    @contextmanager
    def _cached(self) -> Iterator[None]:
        """PyTorch loads libraries from its cache, and everybody knows its own folder's name, below the system's temporary one.

        So without a folder of the user's it gets one that is there while it compiles.
        """
        before = os.environ.get(FOLDER)
        with tempfile.TemporaryDirectory(prefix="segformer_") as nowhere:
            kept = str(writable_directory(Path(self.cache) / "torch").resolve()) if self.cache else USERS_FOLDER
            os.environ[FOLDER] = kept or nowhere
            try:
                yield
            finally:
                os.environ.pop(FOLDER) if before is None else os.environ.update({FOLDER: before})


def options() -> dict[str, Any]:
    """Headers are not compiled ahead, as PyTorch does after 2.7: they would lie in its own folder, wherever its cache is."""
    from torch._inductor import config  # takes a second

    return {name: False for name in ("cpp_cache_precompile_headers",) if hasattr(config, name)}
