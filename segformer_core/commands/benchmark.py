"""Time whole networks beside each other: `segformer benchmark --variant b0 --size 512 1024`.

Each contestant has a process of its own (they would share oneDNN's settings otherwise); the runs are interleaved, so that a
noisy machine disturbs all alike. Inference is image to label map at the image's size, forward image to logits, a training step
forward, backward and AdamW, export the whole command that writes a file for another runtime and proves it. NAME-compiled is the
network by torch.compile, products one matrix product of as many operations as all of the network's; onnx, openvino and
transformers-onnx are files of the two networks in ONNX Runtime and OpenVINO, which do not train. Prints medians, ratios, peak
memory (on CUDA the device's) and, where the machine tells, the energy; --json keeps every single time, the command, the versions
and the machine.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from segformer_core.commands.arguments import new_parser, number, path_argument
from segformer_core.commands.asked_process import AskedProcess
from segformer_core.commands.circumstances import circumstances
from segformer_core.commands.contestants import CONTESTANTS, EXPORT, FORWARD, OTHERS, TASKS, Setting, enter, takes_part
from segformer_core.commands.energy import energy_meter
from segformer_core.config.keys import PRECISIONS
from segformer_core.errors import UserError
from segformer_core.files import write_text
from segformer_core.spec.model import SMALLEST_INPUT, variant_name

WARM_UPS = 2
SETTLE, RUN, PEAK = "settle", "run", "peak"
"""The questions that a contestant's process answers."""


def main(arguments: Sequence[str]) -> None:
    options, before = _parser().parse_args(arguments), circumstances("tools/benchmark.py", arguments)
    variant = variant_name(options.variant)
    setting = Setting(variant, tuple(options.size), options.batch, options.precision, options.device_target)
    results = [row for task in options.tasks for row in race(task, options.contestants, setting, options.rounds)]
    title = f"{setting}; {platform.machine()}, {os.cpu_count()} cores, {options.rounds} rounds"
    print(f"{title}\n", *table(results), sep="\n")
    if options.json:
        content = before | {"setting": asdict(setting), "results": results}
        write_text(options.json, json.dumps(content, indent=1) + "\n")


def race(task: str, contestants: Sequence[str], setting: Setting, rounds: int) -> list[dict[str, Any]]:
    """Start the contestants and run them in turns -> a row of figures for each. Raises UserError if none runs, or one stops."""
    names = [name for name in dict.fromkeys(contestants) if takes_part(name, task)]
    if not names:
        raise UserError(f"none of {', '.join(contestants)} takes part in {task}; name torch or mindspore")
    times: dict[str, list[float]] = {name: [] for name in names}
    joules: dict[str, list[float]] = {name: [] for name in names}
    meter = energy_meter(setting.device_target)
    with ExitStack() as stack:
        racers = {name: stack.enter_context(AskedProcess(name, answers, name, task, setting)) for name in names}
        for racer in racers.values():
            racer.ask(PEAK)  # one after the other, they get ready
        for _ in range(rounds):
            for name, racer in racers.items():
                if task != EXPORT:
                    racer.ask(SETTLE)  # while the others ran, the system may have taken memory back
                before = meter() if meter else 0.0
                times[name].append(racer.ask(RUN))
                if meter:
                    joules[name].append(meter() - before)
        return [
            {
                "task": task,
                "contestant": name,
                "seconds": times[name],
                "median": statistics.median(times[name]),
                "peak_gb": racer.ask(PEAK) / 1e9,
            }
            | ({"joules": joules[name]} if meter else {})
            for name, racer in racers.items()
        ]


def table(results: Sequence[dict[str, Any]]) -> list[str]:
    lines = [f"{'task':<10} {'contestant':<21} {'median s':>9} {'min s':>7} {'max s':>7} {'× torch':>8} {'peak GB':>8} {'J':>6}"]
    torch = {row["task"]: row["median"] for row in results if row["contestant"] == "torch"}
    for row in results:
        ratio = row["median"] / torch.get(row["task"], float("nan"))
        joules = f" {statistics.median(row['joules']):>6.1f}" if "joules" in row else f" {'–':>6}"
        lines.append(
            f"{row['task']:<10} {row['contestant']:<21} {row['median']:>9.3f} {min(row['seconds']):>7.3f} "
            f"{max(row['seconds']):>7.3f} {ratio:>8.2f} {row['peak_gb']:>8.2f}{joules}"
        )
    return lines


def answers(name: str, task: str, setting: Setting) -> Callable[[str], float]:
    """In a contestant's process: RUN and SETTLE give the seconds of one run, PEAK the bytes of the largest memory so far."""
    run, peak_memory = enter(name, task, setting)

    def answer(question: str) -> float:
        if question == PEAK:
            return peak_memory()
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    for _ in range(0 if task == EXPORT else WARM_UPS):  # a whole command starts from nothing each time
        run()
    return answer


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("benchmark", __doc__)
    parser.add_argument("--variant", default="b0", help="b0 … b5")
    parser.add_argument("--size", nargs=2, type=number(SMALLEST_INPUT), default=(512, 1024), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=number(1), default=1, help="images in a training step")
    parser.add_argument(
        "--contestants",
        nargs="+",
        choices=CONTESTANTS + OTHERS,
        default=CONTESTANTS,
        metavar="NAME",
        help=f"of {', '.join(CONTESTANTS + OTHERS)}",
    )
    tasks = (*TASKS, FORWARD, EXPORT)
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=TASKS, metavar="TASK", help=f"of {', '.join(tasks)}")
    parser.add_argument("--rounds", type=number(1), default=7, help="timed runs of each")
    parser.add_argument("--device_target", default="CPU", help="CPU, CUDA or Ascend")
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS, help="of linear layers and convolutions")
    parser.add_argument("--json", type=path_argument, help="file for every single time, the command, versions and machine")
    return parser
