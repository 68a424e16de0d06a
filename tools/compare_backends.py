"""Label a dataset with both frameworks and count where they differ: `python tools/compare_backends.py --config_path …`.

Takes the keys of the evaluate command. A difference is explained where the two best scores are nearer than NEAR_TIE to each
other: rounding decides there. Exits with 1 if any other pixel differs, or the mIoUs by more than 1e-4.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from segformer_core.cli import check_classes, network, required
from segformer_core.config import load_config
from segformer_core.data import open_dataset
from segformer_core.data.dataset import read_pair
from segformer_core.errors import UserError
from segformer_core.evaluation.metrics import NEAR_TIE, confusion_matrix, scores
from segformer_core.segmenter import Segmenter
from segformer_core.weights.loading import load_weights

LARGEST_MIOU_DIFFERENCE = 1e-4


def main() -> int:
    try:
        return compare(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def compare(arguments: list[str]) -> int:
    from backend_mindspore.device import connect as connect_mindspore  # before torch, which reads the same oneDNN variables
    from backend_torch.device import connect as connect_torch

    config = load_config(arguments)
    spec = network(config)
    dataset = open_dataset(config.data.data_path, config.evaluation.eval_split, config.data.dataset_file)
    check_classes(dataset.classes, spec)
    arrays, source = load_weights(required(config.evaluation.eval_ckpt_path, "eval_ckpt_path"), spec)
    print(source)
    mindspore, torch = (
        connect(config.runtime).learner(spec, config, None, print) for connect in (connect_mindspore, connect_torch)
    )
    for learner in (mindspore, torch):
        learner.load_arrays(arrays)
    segmenter = Segmenter(torch, spec, config.data, config.evaluation)
    counts = {name: np.zeros((len(dataset.classes),) * 2, np.int64) for name in ("torch", "mindspore")}
    pixels = differing = unexplained = 0
    for item in dataset.items:
        image, truth = read_pair(item, dataset.classes)
        prepared = segmenter.prepare(image)
        views = [view[None] for view in prepared.images]
        found = torch.prediction.scores(views, prepared.plan)[0].cpu().numpy()
        labels = {"torch": found.argmax(0), "mindspore": mindspore.predict(views, prepared.plan)[0]}
        for name, map_ in labels.items():
            counts[name] += confusion_matrix(truth, map_.astype(np.uint8), len(dataset.classes))
        second, best = np.partition(found, -2, axis=0)[-2:]
        differs = labels["torch"] != labels["mindspore"]
        pixels += differs.size
        differing += int(differs.sum())
        unexplained += int((differs & (best - second >= NEAR_TIE)).sum())
    mious = {name: scores(matrix).miou for name, matrix in counts.items()}
    print(f"{len(dataset)} images, {pixels:,} pixels: {differing} labels differ, {unexplained} of them not near a tie")
    print(f"mIoU {', '.join(f'{value:.6f} with {name}' for name, value in mious.items())}")
    return int(unexplained > 0 or abs(mious["torch"] - mious["mindspore"]) > LARGEST_MIOU_DIFFERENCE)


if __name__ == "__main__":
    sys.exit(main())
