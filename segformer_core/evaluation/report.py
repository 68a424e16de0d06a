"""The table that an evaluation prints, in the original repository's words."""

from collections.abc import Sequence

from segformer_core.evaluation.metrics import Scores

TITLE = " Evaluation Result "
WIDTH = 63


def evaluation_table(scores: Scores, class_names: Sequence[str], checkpoint_name: str) -> str:
    """A line for each class's IoU, then the accuracies; the last three lines give the mIoU and the checkpoint's name."""
    lines = [TITLE.center(WIDTH, "=")]
    for index, (name, iou) in enumerate(zip(class_names, scores.iou.tolist(), strict=True)):
        lines.append(f"===> class: {name}, IoU: {'absent' if index in scores.absent else iou}")
    if len(scores.absent) == len(class_names):
        lines.append("===> nothing to score: every pixel of the truth is ignored")
    elif scores.absent:
        lines.append(f"===> {len(scores.absent)} of {len(class_names)} classes absent, left out of the means")
    lines += [
        f"===> mAcc (mean class accuracy): {scores.macc}",
        f"===> aAcc (pixel accuracy): {scores.aacc}",
        "=" * WIDTH,
        f"===> mIoU: {scores.miou}, ckpt: {checkpoint_name}",
        "=" * WIDTH,
    ]
    return "\n".join(lines)
