"""Steps that commands share: opening a backend, the network that the configuration describes, its weights and its data."""

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from segformer_core.config.keys import Config
from segformer_core.config.remembered import filled
from segformer_core.config.together import check_channels
from segformer_core.data.dataset import Classes, Dataset, NoSuchSplit
from segformer_core.data.image_form import ImageForm
from segformer_core.data.layout import open_dataset
from segformer_core.errors import ConfigError, DataError, brief, plural
from segformer_core.export.exported import Exported, check_runtime, open_exported, read_exported
from segformer_core.inference.remembered import counted, settled
from segformer_core.inference.segmenter import Segmenter
from segformer_core.memory import check_fits
from segformer_core.protocol.form import OF_SUFFIX
from segformer_core.protocol.learner import Backend, Connect
from segformer_core.spec.arrays import parameter_count
from segformer_core.spec.model import SegFormer, segformer
from segformer_core.training.log import Log
from segformer_core.weights.dialect import Arrays
from segformer_core.weights.loading import checked_weights, network_keys, read_network
from segformer_core.weights.reading import Weights
from segformer_core.weights.store import sha256

SHOWN = 5
"""Names of classes in a message."""
OTHER_SPLIT = "choose one of its splits with --eval_split"

FLOAT_BYTES = 4

BACKENDS = ("mindspore", "torch")
"""In the order to connect them within one process: PyTorch reads the oneDNN variables that MindSpore sets."""


def connector(name: str) -> Connect:
    """The function that opens the backend of this name; only the call of that function loads the framework."""
    connect: Connect = import_module(f"backend_{name}.device").connect
    return connect


def network(config: Config, copies: int = 1) -> SegFormer:
    """The spec that the configuration describes, whose class_num is a number by now (`counted`).

    Raises UserError, also if the memory cannot hold its numbers `copies` times.
    """
    model = config.model
    check_channels(config)
    assert model.class_num, "it comes from the data or from the weights"
    spec = segformer(
        model.backbone,
        model.class_num,
        model.in_channels,
        model.decoder_width,
        model.numerics,
        model.drop_path_rate,
        model.head_dropout_rate,
    )
    needed = copies * FLOAT_BYTES * parameter_count(spec)
    check_fits(
        needed, f"mit_{spec.variant} with decoder_width {spec.decoder_width}", "lower decoder_width or take a smaller backbone"
    )
    return spec


def opened_dataset(config: Config, split: str, way_on: str, with_labels: bool = True, sibling: Dataset | None = None) -> Dataset:
    """The images of one split. Raises DataError, also if their classes are not as many as class_num says.

    `way_on` tells the user what to do if the dataset has no such split; `sibling` is another one that is open, with labels.
    """
    try:
        dataset = open_dataset(config.data.data_path, split, config.data.dataset_file, with_labels, sibling)
    except NoSuchSplit as error:
        raise DataError(f"{error}; {way_on}") from error
    check_classes(dataset.classes, config)
    return replace(dataset, form=ImageForm.of(config))


@dataclass
class Subject:
    """A weight file, or an exported file, that is read and not in a framework yet.

    `config` is the command's with what the file says of its network and its images, where nobody has given the key; `classes`
    are the file's, or `known`, those of the data at hand; `sentence` says what the file was asked for.
    """

    path: str
    config: Config
    spec: SegFormer
    classes: Classes
    known: Classes | None
    sentence: str
    content: Weights | Exported | None

    def taken(self) -> Weights | Exported:
        """What was read. The subject holds it no more, since it is as large as the network."""
        content, self.content = self.content, None
        assert content
        return content


def read_subject(path: str, config: Config, known: Classes | None = None, exported_too: bool = True) -> Subject:
    """Read a weight file, or an exported file where that will do. `known` are the classes of the data at hand.

    Raises UserError.
    """
    if known:
        check_classes(known, config)
    content: Weights | Exported
    if exported_too and Path(path).suffix in OF_SUFFIX:
        if config.model.ckpt_part:
            raise ConfigError(
                f"ckpt_part is {brief(config.model.ckpt_part)}; the exported file {path} has no parts; leave it empty"
            )
        content = read_exported(Path(path))
        count, keys = content.form.class_count, content.network_keys
    else:
        if exported_too:
            check_runtime(path, config.runtime.runtime)
        content = read_network(path, config.model.ckpt_part)
        count, keys = content.architecture.class_count or 0, network_keys(content)
    config = counted(filled(config, keys)[0], len(known or range(count)), path)
    about = settled(config, content.stated, count, path, known)
    return Subject(path, about.config, network(about.config), about.classes, known, about.sentence, content)


def arrays_of(weights: Weights | Exported, subject: Subject) -> tuple[Arrays, dict[str, str]]:
    """The arrays of the subject, which is no exported file, and what a result says of them. Raises WeightsError."""
    assert isinstance(weights, Weights)
    names = subject.known.names if subject.known else ()
    arrays, source = checked_weights(weights, subject.spec, subject.path, subject.config.data, names)
    network = f"mit_{subject.spec.variant}"
    return arrays, {"path": subject.path, "sha256": sha256(arrays), "network": network, "source": source}


def opened_segmenter(subject: Subject, connect: Connect) -> tuple[Segmenter, Backend, Log, dict[str, str]]:
    """The network with its weights, or the exported file, ready to run; the lines that announce it are logged.

    The last value is what a result says of the weights. Raises UserError.
    """
    spec, config, content = subject.spec, subject.config, subject.taken()
    if isinstance(content, Exported):
        segmenter, backend, weights = open_exported(content, spec, config, subject.classes, connect)
        log = Log(quiet=not backend.processes.first)
    else:
        arrays, weights = arrays_of(content, subject)
        backend = connect(config.runtime)
        log = Log(quiet=not backend.processes.first)
        learner = backend.learner(spec, config, log)
        learner.load_arrays(arrays)
        log(describe(spec, backend))
        segmenter = Segmenter(learner, spec, config.data, config.evaluation, subject.classes)
    for line in filter(None, (weights["source"], subject.sentence)):
        log(line)
    return segmenter, backend, log, weights


def describe(spec: SegFormer, backend: Backend) -> str:
    device = f"{backend.device} (device {backend.device_id}, {backend.chosen})" if backend.chosen else backend.device
    return (
        f"SegFormer mit_{spec.variant}, {plural(spec.class_count, 'class')}, {parameter_count(spec):,} parameters, "
        f"{backend.name} on {device}, linear layers in {backend.precision.training} in training and "
        f"{backend.precision.inference} in evaluation"
    )


def check_classes(classes: Classes, config: Config) -> None:
    """Raises DataError if class_num is given and the data has another number of classes."""
    if config.model.class_num not in (0, len(classes)):
        count, names = len(classes), ", ".join(classes.names[:SHOWN]) + (", …" if len(classes) > SHOWN else "")
        cityscapes = f"no file names the data's classes, so they are Cityscapes' {count}"
        whose = f"{classes.source} names {plural(count, 'class')}" if classes.source else cityscapes
        raise DataError(
            f"{whose} ({names}), and class_num is {config.model.class_num}; set --class_num {count} if "
            "these are the data's classes, else name a file that lists them, as --dataset_file FILE"
        )


def required(path: str, key: str) -> str:
    if not path:
        raise ConfigError(f"{key} is empty; give the weight file to use, as --{key} FILE or in the configuration file")
    return path
