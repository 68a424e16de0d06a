"""The command `evaluate`: score a weight file, or an exported file, on a dataset."""

import json
import time
from datetime import datetime, timezone
from pathlib import Path

from segformer_core.commands.opening import OTHER_SPLIT, opened_dataset, opened_segmenter, read_subject, required
from segformer_core.config.keys import Config
from segformer_core.evaluation.evaluate import evaluate, forget, label
from segformer_core.evaluation.examples import worst_and_best
from segformer_core.evaluation.page import page
from segformer_core.evaluation.result import result
from segformer_core.evaluation.submission import Submission
from segformer_core.files import writable_directory, write_text
from segformer_core.pace import rounded
from segformer_core.protocol.learner import Connect

RESULT, PAGE = "result.json", "report.html"


def evaluate_command(config: Config, connect: Connect) -> None:
    """Write the table, result.json and, where the configuration asks for them, a page and a submission. Raises UserError."""
    start = time.perf_counter()
    evaluation = config.evaluation
    unlabelled = evaluation.eval_split == "test" and bool(evaluation.save_submission)  # the server keeps those labels
    dataset = opened_dataset(config, evaluation.eval_split, OTHER_SPLIT, with_labels=not unlabelled)
    path = required(evaluation.eval_ckpt_path, "eval_ckpt_path")
    output = writable_directory(Path(evaluation.eval_output_path))
    page_folder = writable_directory(Path(evaluation.report)) if evaluation.report else None
    submission = Submission(Path(evaluation.save_submission), dataset) if evaluation.save_submission else None
    subject = read_subject(path, config, dataset.classes)
    segmenter, backend, log, weights = opened_segmenter(subject, connect)
    keep = submission.write if submission else forget
    for line in filter(None, (dataset.labels, dataset.note)):
        log(line)
    if unlabelled:
        label(segmenter, dataset, log, backend.processes, keep)
    else:
        evaluated = evaluate(segmenter, dataset, log, Path(path).name, backend.processes, keep)
        if backend.processes.first:
            content = result(evaluated, dataset, subject.config, weights, backend, datetime.now(timezone.utc))
            log(f"result: {write_text(output / RESULT, json.dumps(content, indent=1))}")
            if page_folder:
                examples = worst_and_best(segmenter, dataset, evaluated)
                log(f"report: {write_text(page_folder / PAGE, page(content, dataset.classes, *examples))}")
    if submission and backend.processes.first:
        log(f"submission: {submission.finish()}")
    log(f"all eval process done, cost:{rounded(time.perf_counter() - start)}s")
