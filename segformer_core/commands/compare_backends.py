"""Label a dataset with both frameworks and count where they differ: `segformer compare_backends --config_path …`.

Takes the keys of the evaluate command. A difference is explained where the two best scores differ by less than
1e-4: rounding decides there. Exits with 1 if any other pixel differs, or the mIoUs by more than 1e-4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segformer_core.commands.opening import (
    BACKENDS,
    OTHER_SPLIT,
    Subject,
    arrays_of,
    connector,
    opened_dataset,
    read_subject,
    required,
)
from segformer_core.config.help import asks_help, help_text, wrapped
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.data.dataset import Dataset, read_pair
from segformer_core.evaluation.metrics import confusion_matrix, near_ties, scores
from segformer_core.inference.segmenter import Segmenter
from segformer_core.protocol.learner import Learner

NAME = "compare_backends"
LARGEST_MIOU_DIFFERENCE = 1e-4


@dataclass
class Tally:
    """Pixels by whether the two labels differ, and a (K, K) confusion matrix of each backend, which gives its mIoU."""

    counts: dict[str, np.ndarray]
    pixels: int = 0
    differing: int = 0
    unexplained: int = 0

    @property
    def mious(self) -> dict[str, float]:
        return {name: scores(counts).miou for name, counts in self.counts.items()}


def main(arguments: Sequence[str]) -> int:
    if asks_help(arguments):
        print(wrapped(__doc__ or ""), help_text(f"segformer {NAME}", NAME, arguments), sep="\n\n")
        return 0
    config = load_config(arguments, READS[NAME])
    dataset = opened_dataset(config, config.evaluation.eval_split, OTHER_SPLIT)
    path = required(config.evaluation.eval_ckpt_path, "eval_ckpt_path")
    subject = read_subject(path, config, dataset.classes, exported_too=False)
    learners = opened_learners(subject)
    segmenter = Segmenter(learners["torch"], subject.spec, subject.config.data, subject.config.evaluation, subject.classes)
    tally = compare(learners, segmenter, dataset)
    counted = f"{tally.differing} labels differ, {tally.unexplained} of them not near a tie"
    print(f"{len(dataset)} images, {tally.pixels:,} pixels: {counted}")
    print(f"mIoU {', '.join(f'{value:.6f} with {name}' for name, value in tally.mious.items())}")
    apart = max(tally.mious.values()) - min(tally.mious.values())
    return int(tally.unexplained > 0 or apart > LARGEST_MIOU_DIFFERENCE)


def opened_learners(subject: Subject) -> dict[str, Learner]:
    """Backend -> the subject's network. Raises UserError."""
    arrays, weights = arrays_of(subject.taken(), subject)
    print(*filter(None, (weights["source"], subject.sentence)), sep="\n")
    learners = {name: connector(name)(subject.config.runtime).learner(subject.spec, subject.config, print) for name in BACKENDS}
    for learner in learners.values():
        learner.load_arrays(arrays)
    return learners


def compare(learners: dict[str, Learner], segmenter: Segmenter, dataset: Dataset) -> Tally:
    """Label every image with both, prepared as `segmenter` does. Raises DataError."""
    class_count = len(dataset.classes)
    tally = Tally({name: np.zeros((class_count, class_count), np.int64) for name in learners})
    for item in dataset.items:
        image, truth = read_pair(item, dataset.classes, segmenter.form)
        prepared = segmenter.prepare(image)
        views = [view[None] for view in prepared.images]
        torch_scores = learners["torch"].scores(views, prepared.plan)
        labels = {
            "torch": torch_scores[0].argmax(0).astype(np.uint8),
            "mindspore": learners["mindspore"].predict(views, prepared.plan)[0],
        }
        for name, label_map in labels.items():
            tally.counts[name] += confusion_matrix(truth, label_map, class_count)
        differs = labels["torch"] != labels["mindspore"]
        tally.pixels += differs.size
        tally.differing += int(differs.sum())
        tally.unexplained += int((differs & ~near_ties(torch_scores)[0]).sum())
    return tally
