"""Time what is around the network: `segformer benchmark_pipeline --backend torch`.

Times, in turns, the network alone (image to labels at a quarter of its size), evaluate (image and truth read, labelled at full
size, counted), infer (image read, labelled, gray, colour and overlay written), and the check of the data before a training run
(image and truth read) on made images as noisy as photographs. Prints medians an image, how they compare with the network, and the
peak of resident memory. Then the input of training (image and label read, augmented, as the network takes them), in CPU time of
one thread: `--tasks training` times that alone. --json keeps every single time, the command, the versions and the machine.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from segformer_core.commands.arguments import new_parser, number, path_argument
from segformer_core.commands.circumstances import circumstances
from segformer_core.commands.opening import BACKENDS, connector
from segformer_core.commands.training_input import WHOLE, time_training_input
from segformer_core.config.keys import Config, DataConfig, InferenceConfig, RuntimeConfig
from segformer_core.data.cityscapes import CLASSES
from segformer_core.data.dataset import Dataset, Item
from segformer_core.data.image_file import read_image
from segformer_core.data.unpacking import unpack
from segformer_core.evaluation.evaluate import evaluate
from segformer_core.files import write_text
from segformer_core.inference.infer import infer
from segformer_core.inference.results import Results
from segformer_core.inference.segmenter import Segmenter
from segformer_core.inference.sources import named
from segformer_core.protocol.learner import ALONE, Learner, resident_peak
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import SMALLEST_INPUT, segformer
from segformer_core.survey.data_check import check_data

NETWORK = "network"
AROUND, TRAINING = TASKS = ("network", "training")
"""What can be timed: all that is around the network, and the input of training."""
UNPACKED = "unpacked"
FORMATS = ("png", "bmp", UNPACKED)
"""Of the made images and labels: the usual one, one that needs no decoding, and PNGs as `unpack_dataset` writes them."""
NOISE = 6.0
"""Standard deviation of a made image's noise, 0..255: its PNG is then as large as a photograph's."""


def main(arguments: Sequence[str]) -> None:
    options, before = _parser().parse_args(arguments), circumstances("tools/benchmark_pipeline.py", arguments)
    size = (options.size[0], options.size[1])
    figures: dict[str, Any] = {"setting": {"size": size, "images": options.images, "format": options.format}}
    with tempfile.TemporaryDirectory() as folder:
        dataset = made_images(Path(folder), options.images, size, options.format)
        if AROUND in options.tasks:
            figures = _around_the_network(options, dataset, Path(folder) / "results")
        if TRAINING in options.tasks:
            figures["training_input"] = time_training_input(dataset, size, options.rounds)
            for stage, times in figures["training_input"].items():
                print(f"{stage:<20} {median(times) * 1000:6.1f} CPU-ms an image{', in one thread' if stage == WHOLE else ''}")
    if options.json:
        write_text(options.json, json.dumps(before | figures, indent=1) + "\n")


def _around_the_network(options: argparse.Namespace, dataset: Dataset, output: Path) -> dict[str, Any]:
    """Prints and returns setting, seconds of each round, medians an image, and the peak of memory."""
    size = tuple(options.size)
    spec = segformer(options.variant)
    data = DataConfig(base_size=size, dataset_num_parallel_workers=options.workers)
    config = Config(data=data, runtime=RuntimeConfig(device_target="CPU"))
    learner = connector(options.backend)(config.runtime).learner(spec, config, print)
    learner.load_arrays(init_arrays(spec, 0))
    tasks = pipeline_tasks(learner, Segmenter(learner, spec, data, config.evaluation), dataset, output)
    seconds = time_in_turns(tasks, options.rounds)
    print(f"mit_{spec.variant} {size[0]}×{size[1]}, backend_{options.backend}, medians of {options.rounds}")
    medians = {name: median(times) / options.images for name, times in seconds.items()}
    for name, value in medians.items():
        print(f"{name:<20} {value:6.3f} s an image, {value / medians[NETWORK] - 1:+.1%}")
    print(f"peak of resident memory {resident_peak() / 2**20:.0f} MB")
    setting = {"variant": spec.variant, "size": size, "backend": options.backend, "images": options.images}
    setting["format"] = options.format
    return {"setting": setting, "seconds": seconds, "medians": medians, "peak_gb": resident_peak() / 1e9}


def pipeline_tasks(learner: Learner, segmenter: Segmenter, dataset: Dataset, output: Path) -> dict[str, Callable[[], object]]:
    """Name -> what labels all images of `dataset`, with more and more around the network."""
    sources = named((item.image, Path(item.image.name)) for item in dataset.items)
    results = Results(sources, CLASSES, InferenceConfig(infer_output_path=str(output), infer_copy_original_img=False))
    prepared = segmenter.prepare(read_image(dataset.items[0].image, segmenter.form))
    quarter = replace(prepared.plan, size=(prepared.plan.size[0] // 4, prepared.plan.size[1] // 4))
    images = [view[None] for view in prepared.images]
    return {
        NETWORK: lambda: [learner.predict(images, quarter) for _ in dataset.items],
        "labels at full size": lambda: [learner.predict(images, prepared.plan) for _ in dataset.items],
        "evaluate": lambda: evaluate(segmenter, dataset, quiet, ""),
        "infer": lambda: infer(segmenter, results, len(sources), quiet),
        "check of the data": lambda: check_data([dataset], segmenter.data.dataset_num_parallel_workers, ALONE, quiet),
    }


def time_in_turns(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Name -> seconds of each round; one more round before them warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds + 1):
        for name, run in tasks.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: times[1:] for name, times in seconds.items()}


def made_images(folder: Path, count: int, size: tuple[int, int], form: str = FORMATS[0]) -> Dataset:
    """Smooth colours with noise, and blocks of labels."""
    folder.mkdir(exist_ok=True)
    ending = FORMATS[0] if form == UNPACKED else form
    rng = np.random.default_rng(0)
    items = []
    for index in range(count):
        item = Item(folder / f"{index}.{ending}", folder / f"{index}_label.{ending}", str(index))
        colours = cv2.resize(rng.integers(0, 256, (16, 32, 3)).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
        noisy = colours + rng.normal(0, NOISE, colours.shape)
        cv2.imwrite(str(item.image), np.clip(noisy, 0, 255).astype(np.uint8))
        blocks = rng.integers(0, len(CLASSES), (16, 32)).astype(np.uint8)
        cv2.imwrite(str(item.label), cv2.resize(blocks, size[::-1], interpolation=cv2.INTER_NEAREST))
        items.append(item)
    if form == UNPACKED:
        for path in folder.glob(f"*.{ending}"):
            written = unpack(path, path)
            assert written.unpacked, written.error
    return Dataset(folder, "val", CLASSES, tuple(items))


def quiet(line: str) -> None:
    """The pipeline's own lines are not asked for."""


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("benchmark_pipeline", __doc__)
    parser.add_argument("--backend", choices=BACKENDS, default="torch")
    parser.add_argument("--variant", default="b0", help="b0 … b5")
    parser.add_argument("--size", nargs=2, type=number(SMALLEST_INPUT), default=(1024, 2048), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, help="both by default")
    parser.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0], help="of the made images and labels (default: %(default)s)"
    )
    parser.add_argument("--images", type=number(1), default=6, help="images a round")
    parser.add_argument("--rounds", type=number(1), default=5)
    parser.add_argument("--workers", type=number(0), default=4)
    parser.add_argument("--json", type=path_argument, help="file for every single time, the command, versions and machine")
    return parser
