"""The table that an evaluation prints, in the original repository's words."""

from collections.abc import Sequence

import numpy as np

from segformer_core.evaluation.metrics import Scores

TITLE = " Evaluation Result "
WIDTH = 63
FIGURES = ("precision", "recall", "F1")
"""Of a class, after its IoU."""


def evaluation_table(scores: Scores, class_names: Sequence[str], checkpoint_name: str) -> str:
    """A line for each class, then the means; the last three lines give the mIoU and the checkpoint's name."""
    lines = [TITLE.center(WIDTH, "=")]
    for index, (name, iou) in enumerate(zip(class_names, scores.iou.tolist(), strict=True)):
        figures = zip(FIGURES, (scores.precision[index], scores.accuracy[index], scores.f1[index]), strict=True)
        more = "".join(f", {figure}: {'none' if np.isnan(value) else f'{value:.4f}'}" for figure, value in figures)
        lines.append(f"===> class: {name}, IoU: {'absent' if index in scores.absent else f'{iou}{more}'}")
    if len(scores.absent) == len(class_names):
        lines.append("===> nothing to score: every pixel of the truth is ignored")
    elif scores.absent:
        lines.append(f"===> {len(scores.absent)} of {len(class_names)} classes absent, left out of the means")
    lines += [
        f"===> mAcc (mean class accuracy): {scores.macc}",
        f"===> aAcc (pixel accuracy): {scores.aacc}",
        f"===> mF1 (mean Dice): {scores.mf1}",
        "=" * WIDTH,
        f"===> mIoU: {scores.miou}, ckpt: {checkpoint_name}",
        "=" * WIDTH,
    ]
    return "\n".join(lines)
