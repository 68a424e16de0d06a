"""Time whole networks beside each other: `python tools/benchmark.py --variant b0 --size 512 1024`.

Each contestant has a process of its own (they would share oneDNN's settings otherwise); the runs are interleaved, so that a
noisy machine disturbs all alike. Inference is image to label map at the image's size, forward image to logits, a training step
forward, backward and AdamW; onnx and transformers-onnx are files of the two networks in ONNX Runtime, which does not train.
Prints medians, ratios and peak memory (on CUDA the device's); --json keeps every single time.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from segformer_core.config import PRECISIONS, Config, RuntimeConfig
from segformer_core.errors import UserError
from segformer_core.evaluation.plan import make_plan
from segformer_core.export.form import Form
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import VARIANTS, segformer, variant_name
from segformer_core.training.masks import draw_keep_masks
from segformer_core.training.schedule import parameter_groups

CONTESTANTS = ("torch", "mindspore", "transformers")
FILES = ("onnx", "transformers-onnx")
TASKS = ("inference", "training")
FORWARD = "forward"
WARM_UPS = 2


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", default="b0", help="b0 … b5")
    parser.add_argument("--size", nargs=2, type=int, default=(512, 1024), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=1, help="images in a training step")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS + FILES, default=CONTESTANTS)
    parser.add_argument("--tasks", nargs="+", choices=(*TASKS, FORWARD), default=TASKS)
    parser.add_argument("--rounds", type=int, default=7, help="timed runs of each")
    parser.add_argument("--device_target", default="CPU", help="CPU, CUDA or Ascend")
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS, help="of products and convolutions")
    parser.add_argument("--json", type=Path, help="file for every single time")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        variant_name(options.variant)
        if options.work:
            work(options, *options.work)
        else:
            race(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def race(options: argparse.Namespace) -> None:
    """Start the contestants, run them in turns, print the table."""
    results = []
    for task in options.tasks:
        racers = {name: Racer(name, task) for name in options.contestants if task != "training" or name not in FILES}
        times: dict[str, list[float]] = {name: [] for name in racers}
        for _ in range(options.rounds):
            for name, racer in racers.items():
                times[name].append(racer.ask("run"))
        for name, racer in racers.items():
            row = {"task": task, "contestant": name, "seconds": times[name], "peak_gb": racer.ask("peak")}
            results.append(row | {"median": statistics.median(times[name])})
            racer.stop()
    height, width = options.size
    network = f"mit_{variant_name(options.variant)} {height}×{width}"
    title = f"{network}, batch {options.batch} in training, {options.precision} on {options.device_target}"
    print(f"{title}; {platform.machine()}, {os.cpu_count()} cores, {options.rounds} rounds\n")
    print(f"{'task':<10} {'contestant':<17} {'median s':>9} {'min s':>7} {'max s':>7} {'× torch':>8} {'peak GB':>8}")
    for row in results:
        base = next((r["median"] for r in results if r["task"] == row["task"] and r["contestant"] == "torch"), float("nan"))
        low, high = min(row["seconds"]), max(row["seconds"])
        print(
            f"{row['task']:<10} {row['contestant']:<17} {row['median']:>9.3f} {low:>7.3f} {high:>7.3f} "
            f"{row['median'] / base:>8.2f} {row['peak_gb']:>8.2f}"
        )
    if options.json:
        options.json.write_text(json.dumps({"title": title, "machine": platform.platform(), "results": results}, indent=1))


class Racer:
    """A contestant's process, which runs once whenever it is asked."""

    def __init__(self, name: str, task: str):
        command = [sys.executable, *sys.argv, "--work", name, task]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.name = name
        for _ in range(WARM_UPS):
            self.ask("run")

    def ask(self, question: str) -> float:
        assert self.process.stdin and self.process.stdout
        print(question, file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("answer "):
                return float(line.split()[1])
        raise UserError(f"the contestant {self.name} stopped; is its framework installed?")

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def work(options: argparse.Namespace, name: str, task: str) -> None:
    """Answer questions from standard input: seconds of one run, or the peak of resident memory in GB."""
    makers = {"transformers": transformers_runner, **dict.fromkeys(FILES, file_runner)}
    run = makers.get(name, twin_runner)(options, name, task)
    for question in sys.stdin:
        if question.strip() == "peak":
            print("answer", peak_gb(options), flush=True)
        else:
            start = time.perf_counter()
            run()
            print("answer", time.perf_counter() - start, flush=True)


def peak_gb(options: argparse.Namespace) -> float:
    """Of the device's memory that tensors took on CUDA, else of this process' resident memory."""
    if options.device_target == "CUDA":
        import torch

        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def twin_runner(options: argparse.Namespace, name: str, task: str) -> Callable[[], object]:
    connect = __import__(f"backend_{name}.device", fromlist=["connect"]).connect
    config = Config(runtime=RuntimeConfig(device_target=options.device_target, precision=options.precision))
    spec = segformer(options.variant)
    learner = connect(config.runtime).learner(spec, config, None, print)
    learner.load_arrays(init_arrays(spec, 0))
    images, labels = batch(options)
    if task == "inference":
        plan = make_plan(tuple(options.size), replace(config.data, base_size=tuple(options.size)), config.evaluation)
        return lambda: learner.predict([images[:1]], plan)
    if task == FORWARD:
        return lambda: learner.forward(images[:1])
    masks = draw_keep_masks(spec, 0, 0, range(options.batch))
    rates = [1e-6 * group.learning_rate_factor for group in parameter_groups(spec, config.optimizer)]
    return lambda: float(learner.step((images, labels), masks, rates).loss)


def transformers_runner(options: argparse.Namespace, name: str, task: str) -> Callable[[], object]:
    import torch

    device = torch.device("cpu" if options.device_target == "CPU" else "cuda")
    model = transformers_model(options).to(device)
    images, labels = batch(options)
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[options.precision]
    autocast = partial(torch.autocast, device.type, dtype, enabled=options.precision != "fp32")

    def forward() -> torch.Tensor:
        with torch.inference_mode(), autocast():
            return model(torch.from_numpy(images[:1]).to(device)).logits.float()

    def predict() -> np.ndarray:
        with torch.inference_mode():
            logits = forward()
            logits = torch.nn.functional.interpolate(logits, tuple(options.size), mode="bilinear", align_corners=False)
            return logits[0].argmax(0).to(torch.uint8).cpu().numpy()

    def step() -> float:
        with autocast():
            loss = model(torch.from_numpy(images).to(device), labels=torch.from_numpy(labels).to(device).long()).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    if task != "training":
        model.eval()
        return predict if task == "inference" else lambda: forward().cpu().numpy()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    return step


def transformers_model(options: argparse.Namespace):
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    variant = VARIANTS[variant_name(options.variant)]
    return SegformerForSemanticSegmentation(
        SegformerConfig(
            depths=list(variant.depths),
            hidden_sizes=list(variant.widths),
            decoder_hidden_size=variant.decoder_width,
            num_labels=19,
            drop_path_rate=0.1,
        )
    )


def file_runner(options: argparse.Namespace, name: str, task: str) -> Callable[[], object]:
    """An ONNX file in ONNX Runtime on a CPU; resizing and arg-max are backend_torch's."""
    from backend_torch.exported import EXPORTS

    data = Config().data
    images, _ = batch(options)
    plan = make_plan(tuple(options.size), replace(data, base_size=tuple(options.size)), Config().evaluation)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        if name == "onnx":
            spec, size = segformer(options.variant), tuple(options.size)
            form = Form("ONNX", size, False, options.precision, False, False, data.img_norm_mean, data.img_norm_std, 19)
            EXPORTS.write(spec, init_arrays(spec, 0), form, path)
        else:
            write_transformers(options, images[:1], path)
        session = EXPORTS.open(path)
    predict = EXPORTS.predict(session)
    return (lambda: predict([images[:1]], plan)) if task == "inference" else (lambda: session(images[:1]))


def write_transformers(options: argparse.Namespace, image: np.ndarray, path: Path) -> None:
    import torch

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = transformers_model(options).eval()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.model(images).logits

    names = {"input_names": ["images"], "output_names": ["logits"]}
    torch.onnx.export(Logits(), (torch.from_numpy(image),), dynamo=True, opset_version=18, **names).save(str(path))


def batch(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Random images (batch, 3, H, W) float32 and labels (batch, H, W) int32 of 19 classes."""
    rng = np.random.default_rng(0)
    shape = (options.batch, *options.size)
    images = rng.standard_normal((options.batch, 3, *options.size)).astype(np.float32)
    return images, rng.integers(0, 19, shape).astype(np.int32)


if __name__ == "__main__":
    sys.exit(main())
