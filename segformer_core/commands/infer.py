"""The command `infer`: label images and videos."""

from pathlib import Path

from segformer_core.commands.opening import check_classes, network, opened_segmenter, required
from segformer_core.config.keys import Config
from segformer_core.inference.infer import infer
from segformer_core.inference.results import Results
from segformer_core.inference.sources import find_sources
from segformer_core.protocol.learner import Connect


def infer_command(config: Config, connect: Connect) -> None:
    """Paint masks for every image and video that data_path names. Raises UserError: Incomplete if some could not be read."""
    spec, inference = network(config), config.inference
    sources, classes, note = find_sources(config.data.data_path, config.data.dataset_file, Path(inference.infer_output_path))
    check_classes(classes, spec)
    results = Results(sources, classes, inference)
    path = required(inference.infer_ckpt_path, "infer_ckpt_path")
    segmenter, _, log, _ = opened_segmenter(path, spec, config, connect, classes)
    if note:
        log(note)
    infer(segmenter, results, inference.infer_log_interval, log)
