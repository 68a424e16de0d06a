"""The command `export`: write the network for another runtime."""

import time
from dataclasses import replace

from segformer_core.commands.opening import arrays_of, connector, read_subject, required
from segformer_core.config.files import find_config
from segformer_core.config.keys import Config, RuntimeConfig
from segformer_core.data.description import read_classes
from segformer_core.errors import BackendError
from segformer_core.export.choice import choose_size
from segformer_core.export.export import export
from segformer_core.export.probe import WORST
from segformer_core.protocol.learner import Backend, Connect
from segformer_core.protocol.probe import Probe
from segformer_core.training.log import Log
from segformer_core.weights.reading import Weights


def export_command(config: Config, connect: Connect) -> None:
    """Write the file and prove it. Raises UserError: Unproven if the file does not compute what the network computes."""
    begun = time.perf_counter()
    path = required(config.export.export_ckpt_path, "export_ckpt_path")
    choose_size(config)  # so that a wrong size is told before anything is loaded
    known = read_classes(find_config(config.data.dataset_file)) if config.data.dataset_file else None
    subject = read_subject(path, config, known, exported_too=False)
    content = subject.taken()
    assert isinstance(content, Weights)
    arrays, weights = arrays_of(content, subject)
    backend = connect(replace(config.runtime, precision="fp32"))  # the precision of the network that the file is compared with
    probe = prober(backend) if config.export.export_probe == WORST else None
    log = Log(quiet=not backend.processes.first)
    for line in filter(None, (weights["source"], subject.sentence)):
        log(line)
    stated = replace(content.stated, classes=known.names, colours=known.colours) if known else content.stated
    export(subject.config, subject.spec, arrays, weights, stated, backend, log, probe)
    log(f"finished in {time.perf_counter() - begun:.1f} s")


def prober(backend: Backend) -> Probe:
    """The backend's own probe or, where it has none, PyTorch's: both backends' files are of the same network.

    Raises BackendError without PyTorch.
    """
    if backend.exports.probe:
        return backend.exports.probe
    try:
        probe = connector("torch")(RuntimeConfig(device_target="CPU")).exports.probe
    except BackendError as error:
        raise BackendError(f"export_probe needs PyTorch with either backend, and {error}; or leave export_probe out") from error
    assert probe
    return probe
