"""From a command line to a command, and from its outcome to an exit code.

`python -m backend_torch.train` and its siblings call `main`; the program `segformer` and the scripts in `tools` call `program`.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module

from segformer_core.commands.evaluate import evaluate_command
from segformer_core.commands.export import export_command
from segformer_core.commands.infer import infer_command
from segformer_core.commands.train import train_command
from segformer_core.config.help import asks_help, help_text
from segformer_core.config.keys import Config, RuntimeConfig
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.errors import INCOMPLETE, USERS_MISTAKE, UserError
from segformer_core.export.verification import Unproven
from segformer_core.inference.infer import Incomplete
from segformer_core.interrupt import SIGNALLED, Stopped, one_way_out
from segformer_core.memory import is_out_of_memory, sentence
from segformer_core.output import OutputLost, guarded_output, tell
from segformer_core.protocol.learner import Backend, Connect

DONE = 0

COMMANDS: dict[str, Callable[[Config, Connect], None]] = {
    "train": train_command,
    "evaluate": evaluate_command,
    "infer": infer_command,
    "export": export_command,
}
"""The commands of a backend, which take the keys of the configuration as flags."""

ORIGINAL_NAMES = {"eval": "evaluate"}
"""The original repository's name of a command -> ours."""

PROGRAMS = {
    "convert_model": "convert weights between the formats of all SegFormer code bases",
    "make_dataset": "make a dataset from what you have: folders, COCO, labelme, VOC",
    "convert_dataset": "make Cityscapes' label images from its polygons",
    "unpack_dataset": "copy a dataset with PNGs that training reads faster",
    "make_sample_data": "write a small made-up city in Cityscapes' layout",
    "make_contact_sheet": "put image, truth and prediction side by side",
    "make_rank_table": "write HCCL's rank table of this Ascend host",
    "check_dataset": "read every image and label and say what would be trained wrongly",
    "check_device": "try a device and write what was found into a file and a page to send",
    "compare_backends": "label a dataset with both frameworks and count the labels that differ",
    "compare_exports": "export a network in several forms and compare mIoU, size and time",
    "compare_training": "train with both frameworks and with transformers, and compare the losses",
    "benchmark": "time the two networks beside their peers",
    "benchmark_pipeline": "time what is around the network",
}
"""The sub-commands of `segformer`, each a module of `segformer_core.commands` with a `main`."""


def main(command: str, connect: Connect, arguments: Sequence[str]) -> int:
    """Run one of COMMANDS with a backend; returns the exit code."""

    def run() -> None:
        if asks_help(arguments):
            print(help_text(f"python -m {connect.__module__.partition('.')[0]}.{command}", command, arguments))
        else:
            config = load_config(arguments, READS[command])
            with ExitStack() as stack:

                def joined(runtime: RuntimeConfig) -> Backend:
                    backend = connect(runtime)
                    stack.callback(backend.processes.leave)  # however the command ends
                    return backend

                COMMANDS[command](config, joined)

    return exit_code(run)


def program(arguments: Sequence[str] | None = None) -> int:
    """Run one of PROGRAMS; returns the exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]

    def run() -> int | None:
        if name in PROGRAMS:
            code: int | None = import_module(f"segformer_core.commands.{name}").main(rest)
            return code
        if name in ("-h", "--help"):
            print(USAGE)
            return DONE
        command = ORIGINAL_NAMES.get(name, name)
        if command in COMMANDS:
            mistake = f"{name} belongs to a backend; run python -m backend_mindspore.{command} …, or backend_torch"
        else:
            mistake = f"unknown command {name!r}" if name else "no command"
        raise UserError(f"{mistake}\n\n{USAGE}")

    return exit_code(run)


USAGE = "\n".join(
    [
        "usage: segformer COMMAND … (segformer COMMAND --help says more)",
        "",
        *(f"  {name:<20}{summary}" for name, summary in PROGRAMS.items()),
        "",
        "train, evaluate, infer and export belong to a backend:",
        "  python -m backend_mindspore.train …, or backend_torch",
    ]
)


def exit_code(run: Callable[[], int | None]) -> int:
    """Call `run`; a user's mistake is printed as one sentence. A mistake of ours leaves as a traceback, with exit code 1.

    A reader of standard output that leaves (`| head -1`) ends the command without a word, as it does other programs.
    """
    try:
        with one_way_out(), guarded_output():
            return run() or DONE
    except OutputLost as lost:
        if lost.pipe_closed:
            return SIGNALLED + signal.SIGPIPE
        tell(f"error: {lost}")
        return USERS_MISTAKE
    except UserError as error:
        tell(f"error: {error}")
        return INCOMPLETE if isinstance(error, Incomplete | Unproven) else USERS_MISTAKE
    except Stopped as stopped:
        tell(f"stopped by {stopped}")
        return SIGNALLED + stopped.signal_number
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        tell(f"error: {sentence(error, 'this')}; lower the sizes or counts that you asked for")
        return USERS_MISTAKE
    except KeyboardInterrupt:
        tell("interrupted")
        return SIGNALLED + signal.SIGINT
