"""The table that an evaluation prints, in the seed's words."""

from collections.abc import Sequence

import numpy as np

from segformer_core.evaluation.metrics import Scores

TITLE = " Evaluation Result "
WIDTH = 63


def evaluation_table(scores: Scores, class_names: Sequence[str], checkpoint: str) -> str:
    """IoU by class, then the means and the checkpoint's name."""
    lines = [TITLE.center(WIDTH, "=")]
    for name, iou in zip(class_names, scores.iou, strict=True):
        shown = "absent, left out of the mean" if np.isnan(iou) else repr(float(iou))
        lines.append(f"===> class: {name}, IoU: {shown}")
    lines += [
        "=" * WIDTH,
        f"===> mIoU: {scores.miou}, ckpt: {checkpoint}",
        f"===> mAcc: {scores.macc}, aAcc: {scores.aacc}",
        "=" * WIDTH,
    ]
    return "\n".join(lines)
