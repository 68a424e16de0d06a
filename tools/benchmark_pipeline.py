"""What everything around the network costs: `python tools/benchmark_pipeline.py --backend torch`.

Times, in turns, the network alone (image to labels at a quarter of its size), evaluate (image and truth read, labelled at full
size, counted) and infer (image read, labelled, gray, colour and overlay written) on made images as noisy as photographs. Prints
medians an image, what evaluate and infer add to the network, and the peak of resident memory.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from segformer_core.config import Config, DataConfig, InferenceConfig, RuntimeConfig
from segformer_core.data.cityscapes import CLASSES
from segformer_core.data.dataset import Dataset, Item
from segformer_core.evaluation.evaluate import evaluate
from segformer_core.inference import infer
from segformer_core.segmenter import Segmenter
from segformer_core.sources import named
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer

NOISE = 6.0
"""Standard deviation of a made image's noise, 0..255: its PNG is then as large as a photograph's."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", choices=("torch", "mindspore"), default="torch")
    parser.add_argument("--variant", default="b0", help="b0 … b5")
    parser.add_argument("--size", nargs=2, type=int, default=(1024, 2048), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--images", type=int, default=6, help="images a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    connect = __import__(f"backend_{options.backend}.device", fromlist=["connect"]).connect
    size, spec = tuple(options.size), segformer(options.variant)
    data = DataConfig(base_size=size, dataset_num_parallel_workers=options.workers)
    config = Config(data=data, runtime=RuntimeConfig(device_target="CPU"))
    learner = connect(config.runtime).learner(spec, config, None, print)
    learner.load_arrays(init_arrays(spec, 0))
    segmenter = Segmenter(learner, spec, data, config.evaluation)
    with tempfile.TemporaryDirectory() as folder:
        dataset = made_images(Path(folder), options.images, size)
        inference = InferenceConfig(infer_output_path=f"{folder}/results", infer_copy_original_img=False)
        sources = named((item.image, Path(item.image.name)) for item in dataset.items)
        prepared = segmenter.prepare(cv2.imread(str(dataset.items[0].image)))
        quarter = replace(prepared.plan, size=(size[0] // 4, size[1] // 4))
        images = [view[None] for view in prepared.images]
        contestants: dict[str, Callable[[], object]] = {
            "network": lambda: [learner.predict(images, quarter) for _ in dataset.items],
            "labels at full size": lambda: [learner.predict(images, prepared.plan) for _ in dataset.items],
            "evaluate": lambda: evaluate(segmenter, dataset, quiet, ""),
            "infer": lambda: infer(segmenter, sources, CLASSES, inference, quiet),
        }
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for round_ in range(options.rounds + 1):
            for name, run in contestants.items():
                start = time.perf_counter()
                run()
                if round_:  # the first one warms up
                    times[name].append((time.perf_counter() - start) / options.images)
    print(f"mit_{options.variant} {size[0]}×{size[1]}, backend_{options.backend}, medians of {options.rounds}")
    network = median(times["network"])
    for name, seconds in times.items():
        print(f"{name:<20} {median(seconds):6.3f} s an image, {median(seconds) / network - 1:+.1%}")
    print(f"peak of resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def made_images(folder: Path, count: int, size: tuple[int, int]) -> Dataset:
    """Smooth colours with noise, and blocks of labels."""
    rng = np.random.default_rng(0)
    items = []
    for index in range(count):
        item = Item(folder / f"{index}.png", folder / f"{index}_label.png", str(index))
        colours = cv2.resize(rng.integers(0, 256, (16, 32, 3)).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
        noisy = colours + rng.normal(0, NOISE, colours.shape)
        cv2.imwrite(str(item.image), np.clip(noisy, 0, 255).astype(np.uint8))
        blocks = rng.integers(0, len(CLASSES), (16, 32)).astype(np.uint8)
        cv2.imwrite(str(item.label), cv2.resize(blocks, size[::-1], interpolation=cv2.INTER_NEAREST))
        items.append(item)
    return Dataset(folder, "val", CLASSES, tuple(items))


def quiet(line: str) -> None:
    """The pipeline's own lines are not asked for."""


if __name__ == "__main__":
    main()
