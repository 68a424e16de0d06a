"""Train one network with several implementations and compare them: `segformer compare_training --config_path …`.

Takes the keys of the train command. The contestants are our two backends and transformers' network in our training loop. Each
trains in a process and a folder of its own, from the same first values, on the same batches, with the same dropped branches and
channels, learning rates, parameter groups, loss and evaluation.

Unless you give these keys on the command line, every step is logged and precision is fp32. Beside transformers numerics is hf,
the constants of its code. A framework that does not know the device_target trains on the CPU. The same command goes on after an
interruption.

Prints how far the losses and mIoUs are apart, and writes losses.png and comparison.json.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segformer_core.commands.arguments import new_parser, path_argument, path_text
from segformer_core.commands.circumstances import circumstances
from segformer_core.commands.training_process import PYTHON_FLAG, TRAINING_CONTESTANTS, TRANSFORMERS, key_words, probed, train
from segformer_core.config.help import asks_help, help_text
from segformer_core.config.keys import Config
from segformer_core.config.load import load_config, read_flags
from segformer_core.config.reads import READS
from segformer_core.errors import ConfigError, brief
from segformer_core.files import write_text
from segformer_core.spec.model import TRANSFORMERS_NUMERICS
from segformer_core.training.comparison import FIRST_STEPS, LOSSES, Apart, Curves, compared, draw_compared

NAME = "compare_training"
COMPARISON = "comparison.json"
ALWAYS = {"train_log_interval": "1", "precision": "fp32"}
WITH_TRANSFORMERS = {"numerics": TRANSFORMERS_NUMERICS}
"""Keys that go before those of a file, and after those of the command line."""


def main(arguments: Sequence[str]) -> None:
    if asks_help(arguments):
        print(_parser().format_help(), help_text(f"segformer {NAME}", "train", arguments), sep="\n")
        return
    options, keys, config = read_arguments(arguments)
    before = circumstances("tools/compare_training.py", arguments)
    pythons = {name: options.transformers_python if name == TRANSFORMERS else sys.executable for name in options.contestants}
    versions = {name: probed(name, python) for name, python in pythons.items()}
    for name, python in pythons.items():
        print(f"\n{name}: {stated(versions[name])}", flush=True)
        train(name, python, keys | own_keys(name, options.output, config))
    runs = {name: Curves.of(options.output / name) for name in options.contestants}
    pairs = compared(runs)
    print("", *table(runs, pairs), sep="\n")
    draw_compared(runs, options.output / LOSSES)
    content = before | {"contestants": described(runs, versions), "pairs": [asdict(pair) for pair in pairs]}
    write_text(options.output / COMPARISON, json.dumps(content, indent=1) + "\n")
    print(f"\nwritten: {options.output / LOSSES}, {options.output / COMPARISON}, and a folder of each contestant beside them")


def read_arguments(arguments: Sequence[str]) -> tuple[argparse.Namespace, dict[str, str], Config]:
    """This command's own options, the keys that all contestants get, and the configuration that they make. Raises UserError."""
    options, rest = _parser().parse_known_args(arguments)
    keys = read_flags(rest)
    if "checkpoint_path" in keys:
        raise ConfigError("--checkpoint_path is each contestant's own; name the folder above them all, as --output FOLDER")
    keys = ALWAYS | (WITH_TRANSFORMERS if TRANSFORMERS in options.contestants else {}) | keys
    config = load_config(key_words(keys), READS["train"])
    if TRANSFORMERS in options.contestants and config.model.numerics != TRANSFORMERS_NUMERICS:
        raise ConfigError(
            f"numerics is {config.model.numerics}, and transformers' network has those of {TRANSFORMERS_NUMERICS}; leave "
            f"--numerics out, or {TRANSFORMERS} with --contestants"
        )
    return options, keys, config


def own_keys(name: str, output: Path, config: Config) -> dict[str, str]:
    """The keys of one contestant alone: its folder, and the CPU if its framework does not know the device."""
    keys, target = {"checkpoint_path": str(output / name)}, config.runtime.device_target
    if target not in TRAINING_CONTESTANTS[name].devices:
        print(f"{name} does not know device_target {target} and trains on the CPU", flush=True)
        keys["device_target"] = "CPU"
    return keys


def described(runs: Mapping[str, Curves], versions: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """What comparison.json says of each contestant. Every single loss is in its metrics.jsonl."""
    return {
        name: {
            "versions": versions[name],
            "step_seconds": run.step_seconds,
            "steps": max(run.loss, default=0),
            "last_loss": run.last_loss,
            "miou": {str(step): value for step, value in run.miou.items()},
        }
        for name, run in runs.items()
    }


def table(runs: Mapping[str, Curves], pairs: Sequence[Apart]) -> list[str]:
    """The lines that are printed."""
    lines = []
    for pair in pairs:
        first = f"{_shown(pair.first_largest, '.1e')}  {_shown(pair.first_mean, '.1e')}"
        every = f"{pair.largest:.1e}  {pair.mean:.1e}"
        lines.append(f"{' – '.join(pair.pair):<26} {pair.steps:>7} {first:>32} {every:>28}")
    if pairs:
        first, every = f"first {FIRST_STEPS} steps: largest, mean", "all steps: largest, mean"
        lines = [f"{'losses differ by':<26} {'steps':>7} {first:>32} {every:>28}", *lines, ""]
    lines.append(f"{'contestant':<26} {'last loss':>10} {'mIoU':>9} {'best mIoU':>10} {'s a step':>9}")
    for name, run in runs.items():
        loss, last, best = (_shown(value, ".5f") for value in (run.last_loss, run.last_miou, run.best_miou))
        lines.append(f"{name:<26} {loss:>10} {last:>9} {best:>10} {_shown(run.step_seconds, '.3f'):>9}")
    return lines


def stated(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in versions.items())


def _shown(value: float | None, form: str) -> str:
    """A number; a dash for one that was not measured."""
    return "–" if value is None else format(value, form)


def _contestants(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in TRAINING_CONTESTANTS]
    if unknown or len(set(names)) < max(2, len(names)):
        raise argparse.ArgumentTypeError(f"{brief(text)}: expected two or more of {','.join(TRAINING_CONTESTANTS)}, each once")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(NAME, __doc__)
    every = ",".join(TRAINING_CONTESTANTS)
    parser.add_argument(
        "--contestants", type=_contestants, default=tuple(TRAINING_CONTESTANTS), metavar="NAMES", help=f"of {every}"
    )
    parser.add_argument("--output", type=path_argument, default=Path("comparison"), metavar="FOLDER", help="for all results")
    parser.add_argument(
        PYTHON_FLAG,
        type=path_text,
        default=sys.executable,
        metavar="FILE",
        help="the Python of another environment, in which transformers and what this project depends on are installed",
    )
    return parser
