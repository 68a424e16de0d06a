"""check_device.html: what check_device.json holds, on one page that needs no network and no other file."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from segformer_core.device_check.outcome import FAILED, NOT_RUN, PASSED, WARNING
from segformer_core.pages.page import rendered

MARK = '<meta name="generator" content="segformer check_device">'
"""What tells a page of ours from another of the same name."""
WHAT = {
    "versions": "MindSpore, CANN, driver and Python against the table of docs/ascend.md",
    "device": "the backend opens the device and makes a network on it",
    "forward": "B0 labels two small images",
    "training_step": "a training step of B0 in fp32 changes the weights, and all stays finite",
    "training_step_auto": "the same in the precision that is usual on the device",
    "reference": "logits and loss of both are those of PyTorch on the CPU",
    "overflow": "a step in fp16 with too large a loss scale is skipped, the next one with the usual scale is not",
    "attention": "the fused attention in fp16 and the one that is written out give the same logits",
    "epoch": "B0 trains for an epoch on the sample city and is evaluated",
    "two_cards": "two processes, started by msrun or torchrun, have the losses of one",
    "rank_table": "the same, started by a rank table",
    "ladder": "the parity ladder: numpy, PyTorch on the CPU and the device, layer by layer",
}
"""Check -> what it shows if it passes, in the order in which checks run."""
ORDER = (FAILED, WARNING, PASSED, NOT_RUN)
OUTSIDE = ("result", "why", "seconds", "output")
"""What of an outcome the page shows by itself; the rest are figures."""


def page(report: Mapping[str, Any]) -> str:
    """The page as HTML, with the report as JSON in the element `#report`."""
    counts = Counter(check["result"] for check in report["checks"].values())
    device = report["checks"].get("device", {}).get("device", "no device")
    return rendered(
        __package__,
        "page",
        report,
        report=report,
        heading=f"{report['backend']} on {device}" + " (dry run)" * report["dry_run"],
        counts=[(word, counts[word]) for word in ORDER],
        rows=[row(name, check) for name, check in report["checks"].items()],
        provenance={
            "versions": {name: version or "not installed" for name, version in report["versions"].items()},
            "machine": report["machine"],
            "cards and their software": told(report["ascend"]),
            "environment variables": report["environment"] or {"none": "of those that matter is set"},
        },
    )


def row(name: str, check: Mapping[str, Any]) -> dict[str, Any]:
    figures = {key: value for key, value in check.items() if key not in OUTSIDE}
    seconds = check.get("seconds")
    return {
        "name": name,
        "what": WHAT[name],
        "result": check["result"],
        "why": check.get("why", ""),
        "seconds": "–" if seconds is None else f"{seconds:,.1f}",
        "figures": told(figures),
        "output": check.get("output", ""),
    }


def told(figures: Mapping[str, Any]) -> dict[str, str]:
    """Words for a reader: lists of numbers beside one another, a table within a table by its own rows."""
    rows: dict[str, str] = {}
    for key, value in figures.items():
        if isinstance(value, Mapping) and value:
            rows |= {f"{key.replace('_', ' ')}: {inner}": _words(each) for inner, each in value.items()}
        else:
            rows[key.replace("_", " ")] = _words(value)
    return rows


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items()) or "none"
    return value if isinstance(value, str) else json.dumps(value)
