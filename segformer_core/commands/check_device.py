"""Try a device and write what was found into one JSON file, to send with a question: `segformer check_device`.

It holds versions, the parts of CANN and the driver that are found by their files, the environment variables that matter
(ASCEND_*, MS_*, DEVICE_ID, RANK_TABLE_FILE, ONEDNN_MAX_CPU_ISA; no others), and the outcome of a few steps of a small B0.

--device_target Ascend (`make check-ascend`) on a machine without an Ascend writes the file, says so, and exits with 2. With
--dry_run the same steps run on the CPU, and the file says that this is no word about an Ascend. Exit code 1: a check failed.
"""

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.commands.arguments import new_parser, path_argument
from segformer_core.commands.machine import LONGEST, ascend, environment, hardware, versions
from segformer_core.commands.opening import BACKENDS, connector
from segformer_core.config.keys import KEYS, Config, RuntimeConfig
from segformer_core.errors import BackendError, UserError, one_line
from segformer_core.files import write_text
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Backend, Learner, Training
from segformer_core.protocol.masks import draw_keep_masks
from segformer_core.spec.arrays import array_specs, init_arrays
from segformer_core.spec.model import segformer

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
CHECKS = ("device", "forward", "training_step", "training_step_auto", "reference")
"""The steps, in their order; each is a method of Trial."""
LIMITS = {"CPU": 1e-5}
"""Device -> how far logits and loss may be from PyTorch's on a CPU. The ladder's table, parity_tests/tolerances.py, says why."""
OTHER_LIMIT = 1e-3
SPEC, BATCH, HEIGHT, WIDTH, RATE = segformer("b0", 19), 2, 64, 96, 1e-3


class NotRun(Exception):
    """Why a check makes no sense here."""


class Wrong(Exception):
    """What a check has found."""


def expect(right: bool | np.bool_, otherwise: str) -> None:
    if not right:
        raise Wrong(otherwise)


class Trial:
    """The checks. Each returns its figures, raises Wrong, or NotRun."""

    def __init__(self, backend: str, target: str):
        self.name, self.target = backend, target
        rng = np.random.default_rng(0)
        self.images = rng.standard_normal((BATCH, 3, HEIGHT, WIDTH)).astype(np.float32)
        self.labels = rng.integers(0, SPEC.class_count, (BATCH, HEIGHT, WIDTH)).astype(np.int32)

    def device(self) -> dict[str, Any]:
        backend = self._connect(self.name, self.target, "fp32")
        self.found, self.learner = backend.device, self._learner(backend)
        return {"device": backend.device, "device_id": backend.device_id}

    def forward(self) -> dict[str, Any]:
        seconds, logits = [], np.empty(0)
        for _ in range(2):
            start = time.perf_counter()
            logits = self.learner.forward(self.images)
            seconds.append(round(time.perf_counter() - start, 3))
        self.logits = logits
        expect(logits.shape == (BATCH, SPEC.class_count, HEIGHT // 4, WIDTH // 4), f"logits have the shape {logits.shape}")
        expect(np.isfinite(logits).all(), "logits are not finite")
        return {"first_and_second_seconds": seconds}

    def training_step(self) -> dict[str, Any]:
        self.loss = self._step(self.learner)
        return {"loss": self.loss}

    def training_step_auto(self) -> dict[str, Any]:
        backend = self._connect(self.name, self.target, "auto")
        if (precision := backend.precision.training) == "fp32":
            raise NotRun(f"precision auto is fp32 on {backend.device}")
        return {"precision": precision, "loss": self._step(self._learner(backend))}

    def reference(self) -> dict[str, Any]:
        if self.name == "torch" and self.found == "cpu":
            raise NotRun("this device is the reference, PyTorch on a CPU")
        if not hasattr(self, "logits") or not hasattr(self, "loss"):
            raise NotRun("there is no result to compare")
        learner = self._learner(self._connect("torch", "CPU", "fp32"))
        logits = float(np.abs(learner.forward(self.images) - self.logits).max())
        loss, limit = abs(self._step(learner) - self.loss), LIMITS.get(self.found.upper(), OTHER_LIMIT)
        expect(max(logits, loss) <= limit, f"logits differ by {logits:.2g}, the loss by {loss:.2g}; expected at most {limit:g}")
        return {"largest_difference_of_logits": logits, "difference_of_loss": loss, "limit": limit}

    def _connect(self, name: str, target: str, precision: str) -> Backend:
        return connector(name)(RuntimeConfig(device_target=target, precision=precision))

    def _learner(self, backend: Backend) -> Learner:
        groups = parameter_groups(SPEC, Config().optimizer)
        self.rates = [RATE * group.learning_rate_factor for group in groups]
        learner = backend.learner(SPEC, Config(), lambda _: None, Training(groups))
        learner.load_arrays(init_arrays(SPEC, 0))
        return learner

    def _step(self, learner: Learner) -> float:
        """The loss of one step, which must have changed the weights."""
        before = learner.arrays()
        step = learner.step((self.images, self.labels), draw_keep_masks(SPEC, 0, 0, range(BATCH)), self.rates)
        loss, after = float(step.loss), learner.arrays()
        expect(np.isfinite(loss), f"the loss is {loss}")
        expect(not float(step.overflowed), "the gradient is not finite")
        expect(all(np.isfinite(array).all() for array in after.values()), "weights are not finite after the step")
        trained = [array.name for array in array_specs(SPEC) if array.trainable]
        expect(any((after[name] != before[name]).any() for name in trained), "the step changed no weight")
        return loss


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    report: dict[str, Any] = {"command": "check_device", "backend": options.backend, "device_target": options.device_target}
    report |= {"dry_run": options.dry_run, "versions": versions(), "machine": hardware()}
    report |= {"ascend": ascend(home=os.environ.get("ASCEND_HOME_PATH")), "environment": environment(os.environ)}
    report["checks"] = tried(options.backend, "CPU" if options.dry_run else options.device_target, run_checks)
    write_text(options.output, json.dumps(report, indent=1) + "\n")
    for name, check in report["checks"].items():
        print(f"{name:<20}{check['result']}{': ' + said if (said := check.get('why') or check.get('device')) else ''}")
    print(f"wrote {options.output}" + ("; a dry run on the CPU says nothing about another device" if options.dry_run else ""))
    if (device := report["checks"]["device"])["result"] == NOT_RUN:
        raise UserError(f"no check was run: {device['why']}; {options.output} says so, too; --dry_run tries the CPU")
    return int(any(check["result"] == FAILED for check in report["checks"].values()))


def tried(backend: str, target: str, run: Callable[[Connection, str, str], None]) -> dict[str, dict[str, Any]]:
    """Check -> its result, why, seconds and figures. `run` has a process of its own, so that even its end is a result."""
    spawn = multiprocessing.get_context("spawn")
    connection, far_end = spawn.Pipe()
    process = spawn.Process(target=run, args=(far_end, backend, target), daemon=True)
    process.start()
    far_end.close()  # so that the end of the process is noticed
    results: dict[str, dict[str, Any]] = {}
    while True:
        try:
            name, result = connection.recv()
        except (EOFError, OSError):
            break
        results[name] = result
    process.join()
    ended = f"the process ended with code {process.exitcode}" if process.exitcode else "the device cannot be used"
    for index, name in enumerate([name for name in CHECKS if name not in results]):
        results[name] = {"result": FAILED if process.exitcode and index == 0 else NOT_RUN, "why": ended}
    return results


def run_checks(connection: Connection, backend: str, target: str) -> None:
    """The process: sends (check, result) after each; stops where there is no device."""
    trial = Trial(backend, target)
    for name in CHECKS:
        start = time.perf_counter()
        result = attempt(trial, name)
        connection.send((name, result | {"seconds": round(time.perf_counter() - start, 3)}))
        if name == "device" and result["result"] != PASSED:
            break


def attempt(trial: Trial, name: str) -> dict[str, Any]:
    try:
        return {"result": PASSED, **getattr(trial, name)()}
    except (NotRun, BackendError) as why:
        return {"result": NOT_RUN, "why": str(why)}
    except Wrong as error:
        return {"result": FAILED, "why": str(error)}
    except Exception as error:  # whatever a framework says is a result
        return {"result": FAILED, "why": f"{type(error).__name__}: {one_line(error)}"[:LONGEST]}


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("check_device", __doc__)
    parser.add_argument("--backend", choices=BACKENDS, default=BACKENDS[0])
    parser.add_argument("--device_target", choices=KEYS["device_target"].metadata["choices"], default="auto")
    parser.add_argument("--dry_run", action="store_true", help="run the checks on the CPU, whatever device is asked for")
    parser.add_argument(
        "--output", type=path_argument, default=Path("check_device.json"), help="the report (default %(default)s)"
    )
    return parser
