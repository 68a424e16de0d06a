"""The checks within one process: a small B0 forward and through training steps, and against PyTorch on the CPU."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from segformer_core.config.keys import Config, RuntimeConfig
from segformer_core.device_check.outcome import NotRun, Wrong, expect
from segformer_core.protocol import loss_scale
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Backend, Connect, Learner, Step, Training
from segformer_core.protocol.masks import draw_keep_masks
from segformer_core.spec.arrays import array_specs, init_arrays
from segformer_core.spec.model import segformer

CHECKS = ("device", "forward", "training_step", "training_step_auto", "reference", "overflow", "attention")
"""In their order; each is a method of Trial."""
LIMITS = {"CPU": 1e-5}
"""Device -> how far logits and loss may be from PyTorch's on a CPU. The ladder's table, parity_tests/tolerances.py, says why."""
OTHER_LIMIT = 1e-3
ATTENTION_LIMIT = 2e-2
"""Of the largest logit: how far the fused attention and the one that is written out may be apart in fp16."""
SPEC, BATCH, HEIGHT, WIDTH, RATE = segformer("b0", 19), 2, 64, 96, 1e-3
TIMED = 5
"""Forward passes whose median is told, after the first one, which compiles."""
LARGE = (1, 3, 512, 1024)
"""The image in which attention is timed on a card."""
TOLD_BY = "a step that overflows is told by "
"""How the line of the log begins that says how an overflow is seen."""
NOT_TOLD = {"mindspore": "not told", "torch": "the norm of the gradients"}
"""Where the log has no such line: PyTorch knows one way alone."""


class Trial:
    """Each check returns its figures, or raises Wrong or NotRun. Any of them may be the first one."""

    def __init__(self, connector: Callable[[str], Connect], backend: str, target: str):
        self.connector, self.name, self.target = connector, backend, target
        self.lines: list[str] = []
        rng = np.random.default_rng(0)
        self.images = rng.standard_normal((BATCH, 3, HEIGHT, WIDTH)).astype(np.float32)
        self.labels = rng.integers(0, SPEC.class_count, (BATCH, HEIGHT, WIDTH)).astype(np.int32)

    @cached_property
    def backend(self) -> Backend:
        return self.connect(self.name, self.target, "fp32")

    @cached_property
    def learner(self) -> Learner:
        return self.trained(self.backend)

    @cached_property
    def found(self) -> str:
        """The device."""
        return self.backend.device

    def device(self) -> dict[str, Any]:
        assert self.learner
        return {"device": self.found, "device_id": self.backend.device_id}

    def forward(self) -> dict[str, Any]:
        seconds, logits = timed(lambda: self.learner.forward(self.images))
        self.logits = logits
        expect(logits.shape == (BATCH, SPEC.class_count, HEIGHT // 4, WIDTH // 4), f"logits have the shape {logits.shape}")
        expect(np.isfinite(logits).all(), "logits are not finite")
        return {"first_and_second_seconds": seconds, **self.peak(self.backend)}

    def training_step(self) -> dict[str, Any]:
        self.loss, seconds = self.steps(self.learner)
        return {"loss": self.loss, "first_and_second_seconds": seconds, **self.peak(self.backend)}

    def training_step_auto(self) -> dict[str, Any]:
        backend = self.connect(self.name, self.target, "auto")
        if (precision := backend.precision.training) == "fp32":
            raise NotRun(f"precision auto is fp32 on {backend.device}")
        loss, seconds = self.steps(self.trained(backend))
        return {"precision": precision, "loss": loss, "first_and_second_seconds": seconds, **self.peak(backend)}

    def reference(self) -> dict[str, Any]:
        if self.name == "torch" and self.found == "cpu":
            raise NotRun("this device is the reference, PyTorch on a CPU")
        if not hasattr(self, "logits") or not hasattr(self, "loss"):
            raise NotRun("there is no result to compare")
        learner = self.trained(self.connect("torch", "CPU", "fp32"))
        logits = float(np.abs(learner.forward(self.images) - self.logits).max())
        loss, limit = abs(self.one_step(learner) - self.loss), LIMITS.get(self.found.upper(), OTHER_LIMIT)
        expect(max(logits, loss) <= limit, f"logits differ by {logits:.2g}, the loss by {loss:.2g}; expected at most {limit:g}")
        return {"largest_difference_of_logits": logits, "difference_of_loss": loss, "limit": limit}

    def overflow(self) -> dict[str, Any]:
        """A step in fp16 with the largest loss scale, which must be skipped, then one with the usual scale, which must not."""
        learner = self.trained(self.connect(self.name, self.target, "fp16"))
        scale, start = np.array(loss_scale.LARGEST, np.float32), np.array(loss_scale.START, np.float32)
        state, before = learner.optimizer_arrays(), learner.arrays()
        learner.load_optimizer_arrays(state | {"loss_scale": scale})
        step = self.step(learner)
        told = next((line.removeprefix(TOLD_BY) for line in self.lines if line.startswith(TOLD_BY)), NOT_TOLD[self.name])
        expect(
            bool(float(step.overflowed)),
            f"a step in fp16 with the loss scale {scale:g} must overflow, and none was seen, by {told}",
        )
        changed = [name for name, array in learner.arrays().items() if not np.array_equal(array, before[name])]
        expect(not changed, f"a step that overflowed changed {len(changed)} arrays, {', '.join(changed[:3])} among them")
        after = float(learner.optimizer_arrays()["loss_scale"])
        half = loss_scale.LARGEST / loss_scale.FACTOR
        expect(after == half, f"after an overflow the loss scale is {after:g}; expected {half:g}")
        learner.load_optimizer_arrays(state | {"loss_scale": start})
        loss = self.one_step(learner)
        return {"told_by": told, "scale": float(scale), "scale_after": after, "clean_scale": float(start), "loss": loss}

    def attention(self) -> dict[str, Any]:
        """The forward pass in fp16 with the fused attention and without."""
        backend = self.connect(self.name, self.target, "fp16")
        if backend.no_fused_attention:
            raise NotRun(backend.no_fused_attention)
        on_cpu = self.found.lower() == "cpu"
        images = self.images if on_cpu else np.random.default_rng(1).standard_normal(LARGE).astype(np.float32)
        arrays, logits = lively_arrays(), {}
        seconds: dict[str, float] = {}
        for name, fused in (("fused", True), ("written_out", False)):
            learner = backend.learner(SPEC, Config(), self.lines.append, fused=fused)
            learner.load_arrays(arrays)
            (first, *more), logits[name] = timed(partial(learner.forward, images), 1 + TIMED)
            seconds |= {f"{name}_first_seconds": first, f"{name}_seconds": statistics.median(more)}
            expect(np.isfinite(logits[name]).all(), f"logits are not finite, attention {name}")
        largest = float(np.abs(logits["written_out"]).max())
        difference = float(np.abs(logits["fused"] - logits["written_out"]).max()) / largest
        expect(
            difference <= ATTENTION_LIMIT,
            f"fused or written out, logits differ by {difference:.2g} of the largest; expected at most {ATTENTION_LIMIT:g}",
        )
        sizes = {"image": list(images.shape), "largest_difference": difference, "limit": ATTENTION_LIMIT}
        return sizes | seconds | self.peak(backend)

    def connect(self, name: str, target: str, precision: str) -> Backend:
        return self.connector(name)(RuntimeConfig(device_target=target, precision=precision))

    def trained(self, backend: Backend) -> Learner:
        groups = parameter_groups(SPEC, Config().optimizer)
        learner = backend.learner(SPEC, Config(), self.lines.append, Training(groups))
        learner.load_arrays(init_arrays(SPEC, 0))
        return learner

    def step(self, learner: Learner) -> Step:
        rates = [RATE * group.learning_rate_factor for group in parameter_groups(SPEC, Config().optimizer)]
        return learner.step((self.images, self.labels), draw_keep_masks(SPEC, 0, 0, range(BATCH)), rates)

    def one_step(self, learner: Learner) -> float:
        """The loss of one step, which must have changed the weights."""
        before = learner.arrays()
        step = self.step(learner)
        loss, after = float(step.loss), learner.arrays()
        expect(np.isfinite(loss), f"the loss is {loss}")
        expect(not float(step.overflowed), "the gradient is not finite")
        expect(all(np.isfinite(array).all() for array in after.values()), "weights are not finite after the step")
        trained = [array.name for array in array_specs(SPEC) if array.trainable]
        expect(any((after[name] != before[name]).any() for name in trained), "the step changed no weight")
        return loss

    def steps(self, learner: Learner) -> tuple[float, list[float]]:
        """The loss of the first of two steps, and the seconds of both."""
        start = time.perf_counter()
        loss = self.one_step(learner)
        first = time.perf_counter() - start
        start = time.perf_counter()
        if not np.isfinite(float(self.step(learner).loss)):
            raise Wrong("the loss of the second step is not finite")
        return loss, rounded([first, time.perf_counter() - start])

    def peak(self, backend: Backend) -> dict[str, float]:
        """Of the card's own memory; on a CPU of the process."""
        return {"peak_memory_gb": round(backend.peak_memory() / 1e9, 3)}


def timed(run: Callable[[], np.ndarray], times: int = 2) -> tuple[list[float], np.ndarray]:
    """The seconds of each run, and what the last one gives."""
    seconds, result = [], np.empty(0)
    for _ in range(times):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return rounded(seconds), result


def rounded(seconds: Sequence[float]) -> list[float]:
    return [round(each, 4) for each in seconds]


def lively_arrays() -> dict[str, np.ndarray]:
    """First values, but attention's matrices are so large that its probabilities are unlike one another."""
    arrays = init_arrays(SPEC, 0)
    for name, array in arrays.items():
        if ".attn." in name and array.ndim == 2:
            arrays[name] = array * np.float32(array.shape[1] ** -0.5 / array.std())
    return arrays
