"""The command `infer`: label images and videos."""

from dataclasses import replace
from pathlib import Path

from segformer_core.commands.opening import opened_segmenter, read_subject, required
from segformer_core.config.keys import Config
from segformer_core.export.exported import check_probabilities
from segformer_core.files import writable_directory
from segformer_core.inference.infer import infer
from segformer_core.inference.results import Results
from segformer_core.inference.sources import find_sources
from segformer_core.protocol.learner import Connect


def infer_command(config: Config, connect: Connect) -> None:
    """Paint masks for every image and video that data_path names. Raises UserError: Incomplete if some could not be read."""
    inference = config.inference
    output = Path(inference.infer_output_path)
    sources, known, note = find_sources(config.data.data_path, config.data.dataset_file, output)
    writable_directory(output)  # before the weights are read, which takes a while
    subject = read_subject(required(inference.infer_ckpt_path, "infer_ckpt_path"), config, known)
    results = Results(sources, subject.classes, inference)
    if results.show_confidence or inference.infer_threshold:
        check_probabilities(subject.content)
    segmenter, _, log, _ = opened_segmenter(subject, connect)
    if note:
        log(note)
    infer(replace(segmenter, threshold=inference.infer_threshold), results, inference.infer_log_interval, log)
