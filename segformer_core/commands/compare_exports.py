"""Compare the forms in which a network can be deployed, on labelled images: `segformer compare_exports --config_path …`.

Takes the keys of evaluate, and those of export that say what a file takes and gives. Each form is written and proved by the
export command, and labels the images in a process of its own. They take turns, some images each, so that a noisy machine
disturbs all alike.

Prints of each form its size, its mIoU, the points that it loses against the first one, the labels that differ from the first
one's, and the time from an image's pixels to its labels. A form whose file export does not keep is left out and named; the exit
code is then 1.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from segformer_core.commands.arguments import new_parser, number, path_argument
from segformer_core.commands.asked_process import AskedProcess
from segformer_core.commands.circumstances import circumstances
from segformer_core.commands.deployments import FORMS, Deployment
from segformer_core.commands.opening import OTHER_SPLIT, opened_dataset, required
from segformer_core.commands.training_process import ending, environment, key_words
from segformer_core.config.help import asks_help, help_text
from segformer_core.config.load import CONFIG_PATH, load_config, read_flags
from segformer_core.config.reads import READS
from segformer_core.errors import INCOMPLETE, UserError, brief, plural
from segformer_core.evaluation.metrics import scores
from segformer_core.files import writable_directory, write_text

NAME = "compare_exports"
BLOCK = 8
"""Images that a form labels before it is the next one's turn: the first ones pay for memory that the system took back."""


@dataclass
class Tally:
    """What one form has answered: the confusion matrix, seconds of each image, labels that differ from the first form's."""

    counts: np.ndarray
    seconds: list[float] = field(default_factory=list)
    differing: int = 0
    pixels: int = 0


def main(arguments: Sequence[str], program: str = f"tools/{NAME}.py") -> int:
    """Returns the exit code. `program` is what Python runs, for the JSON file."""
    if asks_help(arguments):
        print(_parser().format_help(), help_text(f"segformer {NAME}", NAME, arguments), sep="\n")
        return 0
    options, rest = _parser().parse_known_args(arguments)
    keys = read_flags(rest)
    config = load_config(key_words(keys), READS[NAME])
    before = circumstances(program, arguments)
    dataset = opened_dataset(config, config.evaluation.eval_split, OTHER_SPLIT)
    weights = required(config.evaluation.eval_ckpt_path, "eval_ckpt_path")
    forms = chosen(options.forms)
    with folder_of(options.output) as folder:
        paths = dict(written(forms, keys, weights, folder))
        if not paths:
            raise UserError("no form has a file that was kept; the lines above say why")
        images = min(options.images or len(dataset), len(dataset))
        print(f"\nlabelling {plural(images, 'image')} in {plural(len(paths), 'form')} …", flush=True)
        tallies = labelled({name: forms[name] for name in paths}, paths, keys, len(dataset.classes), images)
        rows = [row(name, paths[name], tally, dataset.classes.names) for name, tally in tallies.items()]
    print("", *table(rows), sep="\n")
    setting = {"weights": weights, "data_path": config.data.data_path, "split": config.evaluation.eval_split, "images": images}
    if options.json:
        write_text(options.json, json.dumps(before | {"setting": setting, "results": rows}, indent=1) + "\n")
    return 0 if len(paths) == len(forms) else INCOMPLETE


def chosen(names: Sequence[str]) -> dict[str, Deployment]:
    """The forms to compare: those that are named, or all whose packages are installed. Raises UserError."""
    missing = {name: [package for package in FORMS[name].packages if find_spec(package) is None] for name in names or FORMS}
    for name, packages in missing.items():
        if packages and names:
            raise UserError(f"the form {name} needs {', '.join(packages)}, which is not installed; leave it out of --forms")
        if packages:
            print(f"left out: {name}, since {', '.join(packages)} is not installed")
    forms = {name: FORMS[name] for name, packages in missing.items() if not packages}
    if not forms:
        raise UserError("neither PyTorch nor MindSpore is installed; docs/getting-started.md says how to install one")
    return forms


@contextmanager
def folder_of(output: Path | None) -> Iterator[Path]:
    """Where the files are written: a folder that stays, or one that is removed."""
    if output:
        yield writable_directory(output)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)


def written(forms: Mapping[str, Deployment], keys: Mapping[str, str], weights: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The forms and their files, each file written once. A form whose file is not kept is left out. Raises UserError."""
    kept: dict[str, bool] = {}
    shared = of_command("export", keys)
    for name, form in forms.items():
        if not form.file:
            yield name, Path(weights)
            continue
        path = folder / form.file
        if form.file not in kept:
            print(f"\n{name}: {path}", flush=True)
            words = key_words(
                shared | form.keys | {"export_ckpt_path": weights, "export_path": str(path), "runtime": form.runtime}
            )
            command = [sys.executable, "-m", f"backend_{form.backend}.export", *words]
            code = subprocess.run(command, env=environment(sys.executable)).returncode
            if code not in (0, INCOMPLETE):
                raise UserError(
                    f"the export of {name} {ending(code)}, and its own message says why; mend that, or leave it out of --forms"
                )
            kept[form.file] = code == 0
        if kept[form.file]:
            yield name, path
        else:
            print(f"left out: {name}, whose file was not kept: the lines above say why")


def labelled(
    forms: Mapping[str, Deployment], paths: Mapping[str, Path], keys: Mapping[str, str], class_count: int, images: int
) -> dict[str, Tally]:
    """Let each form label the first `images` images, by turns. Raises UserError."""
    shared = of_command("evaluate", keys)
    tallies = {name: Tally(np.zeros((class_count, class_count), np.int64)) for name in forms}
    with ExitStack() as stack:
        processes = {}
        for name, form in forms.items():
            words = key_words(shared | {"eval_ckpt_path": str(paths[name]), "runtime": form.runtime})
            processes[name] = stack.enter_context(AskedProcess(name, form.open, form.backend, words))
        for process in processes.values():
            process.ask(0)  # each gets ready: a framework compiles for its first image
        for start in range(0, images, BLOCK):
            first: dict[int, np.ndarray] = {}
            for name, process in processes.items():
                for index in range(start, min(start + BLOCK, images)):
                    seconds, labels, counts = process.ask(index)
                    tally = tallies[name]
                    tally.seconds.append(seconds)
                    tally.counts += counts
                    tally.differing += int((labels != first.setdefault(index, labels)).sum())
                    tally.pixels += labels.size
    return tallies


def of_command(command: str, keys: Mapping[str, str]) -> dict[str, str]:
    """The keys that this command reads."""
    return {name: text for name, text in keys.items() if name in READS[command] or name == CONFIG_PATH}


def row(name: str, path: Path, tally: Tally, class_names: Sequence[str]) -> dict[str, Any]:
    """One form's figures, as JSON has them."""
    found = scores(tally.counts)
    return {
        "form": name,
        "bytes": sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file()),
        "miou": found.miou,
        "iou": {of: None if np.isnan(value) else float(value) for of, value in zip(class_names, found.iou, strict=True)},
        "labels": tally.pixels,
        "differing": tally.differing,
        "median": statistics.median(tally.seconds),
        "seconds": tally.seconds,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines that are printed."""
    first = rows[0]
    lines = [f"{'form':<14} {'MB':>7} {'mIoU':>8} {'points':>7} {'other labels':>13} {'s/image':>8} {'× ' + first['form']:>12}"]
    for each in rows:
        points, other = 100.0 * (each["miou"] - first["miou"]), each["differing"] / each["labels"]
        lines.append(
            f"{each['form']:<14} {each['bytes'] / 1e6:>7.1f} {each['miou']:>8.4f} {points:>+7.2f} {other:>13.4%} "
            f"{each['median']:>8.3f} {each['median'] / first['median']:>12.2f}"
        )
    return lines


def _forms(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if set(names) - FORMS.keys() or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{brief(text)}: expected some of {','.join(FORMS)}, each once")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(NAME, __doc__)
    help_ = "of " + ", ".join(FORMS) + "; without it all whose packages are installed. The others are compared with the first"
    parser.add_argument("--forms", type=_forms, default=(), metavar="NAMES", help=help_)
    parser.add_argument("--images", type=number(1), metavar="N", help="label the first N images; without it all of the split")
    parser.add_argument("--output", type=path_argument, metavar="FOLDER", help="keep the files there; else they are removed")
    parser.add_argument("--json", type=path_argument, metavar="FILE", help="file for every figure, the command and the machine")
    return parser
