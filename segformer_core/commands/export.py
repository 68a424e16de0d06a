"""The command `export`: write the network for another runtime."""

from dataclasses import replace

from segformer_core.commands.opening import described_weights, network, required
from segformer_core.config.keys import Config
from segformer_core.export.choice import choose_size
from segformer_core.export.export import export
from segformer_core.protocol.learner import Connect
from segformer_core.training.log import Log
from segformer_core.weights.loading import load_weights


def export_command(config: Config, connect: Connect) -> None:
    """Write the file and prove it. Raises UserError: Unproven if the file does not compute what the network computes."""
    path = required(config.export.export_ckpt_path, "export_ckpt_path")
    spec = network(config)
    choose_size(config)  # so that a wrong size is told before anything is loaded
    arrays, source = load_weights(path, spec, config.data, config.model.ckpt_part)
    backend = connect(replace(config.runtime, precision="fp32"))  # the precision of the network that the file is compared with
    log = Log(quiet=not backend.processes.first)
    log(source)
    export(config, spec, arrays, described_weights(path, arrays, spec, source), backend, log)
