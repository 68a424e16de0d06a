"""The tables of docs/speed.md are those of docs/measured/*.json: `python -m parity_tests.documents.speed` writes them.

The files come from the `--json` of TOOLS. To name some of them, as in
`python -m parity_tests.documents.speed peers_b0 peers_b2`, is to measure these again first.
"""

import json
import re
import shlex
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from parity_tests import ROOT
from segformer_core.commands.benchmark_pipeline import UNPACKED
from segformer_core.commands.contestants import EXPORT, PRODUCTS
from segformer_core.files import write_text

PAGE, MEASURED = ROOT / "docs/speed.md", ROOT / "docs/measured"
MARKED = re.compile(r"(?P<start><!-- measured: (?P<name>\w+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
FORMS = {
    "torch": "weights in backend_torch",
    "mindspore": "weights in backend_mindspore",
    "onnx": "ONNX in ONNX Runtime",
    "onnx-fp16": "ONNX of fp16 in ONNX Runtime",
    "onnx-int8": "ONNX of int8 in ONNX Runtime",
    "openvino": "ONNX in OpenVINO",
    "openvino-int8": "ONNX of int8 in OpenVINO",
    "pt2": "TORCH in PyTorch",
    "mindir": "MINDIR in MindSpore",
    "web": "WEB in Chromium",
}
"""What compare_exports calls a form -> what the page calls it."""
NAMES = {"mindspore": "MindSpore", "python": "Python", "openvino": "OpenVINO"}
"""Packages that do not write themselves in small letters."""
IMAGE_FORMATS = {"png": "PNG", "bmp": "BMP", UNPACKED: "PNG, unpacked"}
WIDTH = 120
HARD_SPACE = "\u00a0"
NOTHING = "Not measured yet."
TOOLS = ("tools/benchmark.py", "tools/benchmark_pipeline.py", "tools/compare_exports.py", "-m parity_tests.export.web_form")
"""The commands that a file of measurements may name."""

Measurement = dict[str, Any]


def rendered(text: str) -> str:
    """The page with the tables between its marks as the measurements give them."""
    return MARKED.sub(lambda found: "\n".join([found["start"].rstrip(), *lines(found["name"]), found["end"]]), text)


def lines(name: str) -> list[str]:
    """What stands at a mark: commands, circumstances and table of the files `NAME_*.json`."""
    draw, measurements = TABLES[name], [measurement(path.stem) for path in sorted(MEASURED.glob(f"{name}_*.json"))]
    return [*circumstances(measurements), "", *draw(measurements), ""] if measurements else [NOTHING]


def measurement(name: str) -> Measurement:
    content: Measurement = json.loads((MEASURED / f"{name}.json").read_text(encoding="utf-8"))
    return content


def contest(measurements: Sequence[Measurement], by_network: bool) -> list[str]:
    """What the benchmark measured as one table, with a row for each network or for each contestant."""
    cells: dict[tuple[str, str], str] = {}
    for measured in measurements:
        torch = {row["task"]: row["median"] for row in measured["results"] if row["contestant"] == "torch"}
        for row in measured["results"]:
            network, who, task = network_name(measured["setting"]), contestant(row["contestant"], measured), row["task"]
            place = (network, f"{task}, {who}") if by_network else (who, f"{network} {task}")
            cells[place] = cell(row, None if task == EXPORT else torch.get(task))
    head = "network" if by_network else "contestant"
    return table(head, cells)


def pipeline(measurements: Sequence[Measurement]) -> list[str]:
    """What the pipeline's benchmark measured, one row each."""
    cells: dict[tuple[str, str], str] = {}
    for measured in measurements:
        row, medians = f"backend_{measured['setting']['backend']}", measured["medians"]
        cells[row, "network alone"] = f"{seconds(medians['network'])} s"
        for part in ("evaluate", "infer"):
            cells[row, part] = f"{seconds(medians[part])} s ({medians[part] / medians['network'] - 1:+.0%})".replace("%", " %")
        cells[row, "peak of the process"] = f"{measured['peak_gb']:.2f} GB"
    return table("seconds an image", cells)


def training_input(measurements: Sequence[Measurement]) -> list[str]:
    """CPU time of the stages of the input of training, a row for each format of the files."""
    cells = {
        (
            f"{IMAGE_FORMATS[measured['setting']['format']]} {'×'.join(map(str, measured['setting']['size']))}",
            stage,
        ): milliseconds(times)
        for measured in measurements
        for stage, times in measured["training_input"].items()
    }
    return table("CPU time an image", cells)


def forms(measurements: Sequence[Measurement]) -> list[str]:
    """What compare_exports measured, a row for each form."""
    cells: dict[tuple[str, str], str] = {}
    for measured in measurements:
        data, first = Path(measured["setting"]["data_path"]).name, measured["results"][0]
        for each in measured["results"]:
            form = FORMS[each["form"]]
            cells[form, f"{data}: size"] = f"{each['bytes'] / 1e6:.1f} MB"
            cells[form, f"{data}: mIoU"] = f"{each['miou']:.4f} ({100 * (each['miou'] - first['miou']):+.2f} points)"
            share = f"{each['differing'] / each['labels']:.2%}".replace("%", " %")
            cells[form, f"{data}: other labels"] = (
                f"{each['differing']:,} ({share})" if each is not first else f"of {each['labels']:,}"
            )
            ratio = "" if each is first else f", {each['median'] / first['median']:.2f}×"
            cells[form, f"{data}: an image"] = f"{1000 * each['median']:.0f} ms{ratio}"
    return table("form", cells)


def milliseconds(times: Sequence[float]) -> str:
    """The median and the fastest of seconds."""
    return f"{median(times) * 1000:.1f} ({min(times) * 1000:.1f}) ms"


def network_name(setting: Measurement) -> str:
    height, width = setting["size"]
    return f"{setting['variant'].upper()} {height}×{width}"


def contestant(name: str, measured: Measurement) -> str:
    """As a reader knows it: our own backend by its package, a peer and a runtime with its version."""
    first, _, rest = name.partition("-")
    known = {
        "torch": "backend_torch",
        "mindspore": "backend_mindspore",
        "transformers": f"transformers {measured['versions'].get('transformers')}",
        "onnx": f"our file in ONNX Runtime {measured['versions'].get('onnxruntime')}",
        "openvino": f"our file in OpenVINO {measured['versions'].get('openvino')}",
        PRODUCTS: "matrix products alone",
    }
    return known[first] + {"": "", "compiled": ", compiled", "onnx": "'s file in ONNX Runtime"}[rest]


def cell(row: Measurement, torch: float | None) -> str:
    """Median and fastest run, ratio of the medians, memory, and energy where the machine told."""
    ratio = "" if torch is None or row["contestant"] == "torch" else f", {row['median'] / torch:.2f}×"
    memory = "" if row["contestant"] == PRODUCTS else f", {row['peak_gb']:.2f} GB"
    energy = f", {statistics.median(row['joules']):.1f} J" if "joules" in row else ""
    return f"{seconds(row['median'])} ({seconds(min(row['seconds']))}) s{ratio}{memory}{energy}"


def seconds(value: float) -> str:
    """Three figures or so."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def table(head: str, cells: dict[tuple[str, str], str]) -> list[str]:
    """Markdown; rows and columns in the order in which they first come."""
    rows, columns = unique(row for row, _ in cells), unique(column for _, column in cells)
    lines = [[head, *columns], ["---"] * (1 + len(columns))]
    lines += [[row, *(cells.get((row, column), "–") for column in columns)] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def circumstances(measurements: Sequence[Measurement]) -> list[str]:
    """The commands, then day, machine and versions: a point for each that differs; and how busy the machine was."""
    commands = [line for measured in measurements for line in wrapped(measured["command"])]
    notes = [
        line
        for text in unique(map(circumstance, measurements))
        for line in textwrap.wrap(f"- {text}", WIDTH, subsequent_indent="  ")
    ]
    return ["<!-- parsed: takes many minutes -->", "```bash", *commands, "```", "", *notes, loads(measurements)]


def wrapped(command: str) -> list[str]:
    """Lines of a shell; an option stays with its values."""
    kept = re.sub(" (?!-)", HARD_SPACE, command)
    *first, last = textwrap.wrap(kept, WIDTH, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)
    return [line.replace(HARD_SPACE, " ") for line in [*(f"{line} \\" for line in first), last]]


def circumstance(measured: Measurement) -> str:
    """One line; `note` is a sentence that somebody added to the file by hand."""
    day = date.fromisoformat(measured["date"])
    where = f"{measured['processor']}, {measured['cores']} cores, {measured['machine']}"
    versions = ", ".join(f"{NAMES.get(name, name)} {version}" for name, version in measured["versions"].items())
    return f"{day.day} {day:%B %Y}; {where}; {versions}.{' ' + measured['note'] if 'note' in measured else ''}"


def loads(measurements: Sequence[Measurement]) -> str:
    """How busy the machine was, command by command."""
    return f"- Load before each command: {', '.join(str(measured.get('load', 'not noted')) for measured in measurements)}."


def unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))


TABLES: dict[str, Callable[[Sequence[Measurement]], list[str]]] = {
    "variants": partial(contest, by_network=True),
    "export": partial(contest, by_network=True),
    "peers": partial(contest, by_network=False),
    "bf16": partial(contest, by_network=False),
    "files": partial(contest, by_network=False),
    "forms": forms,
    "pipeline": pipeline,
    "input": training_input,
}
"""A mark of the page, with which the names of its files begin -> what makes its table."""


def measure(name: str) -> None:
    """Run the command of a file of measurements again, with this Python: it writes the file anew."""
    command = measurement(name)["command"]
    assert command.startswith(tuple(f"python {tool} " for tool in TOOLS)), (
        f"{name} names a command that is no benchmark: {command}"
    )
    _, *words = shlex.split(command)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)


def main(names: Sequence[str]) -> None:
    for name in names:
        measure(name)
    text = PAGE.read_text(encoding="utf-8")
    if text != rendered(text):
        write_text(PAGE, rendered(text))


if __name__ == "__main__":
    main(sys.argv[1:])
