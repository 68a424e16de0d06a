"""Who takes part in the benchmark, and how each one runs a task once."""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np

from segformer_core.commands.opening import connector
from segformer_core.config.keys import Config, RuntimeConfig
from segformer_core.protocol.form import Form
from segformer_core.protocol.groups import parameter_groups
from segformer_core.protocol.learner import Training, resident_peak
from segformer_core.protocol.masks import draw_keep_masks
from segformer_core.protocol.plan import Plan, make_plan
from segformer_core.spec.arrays import init_arrays
from segformer_core.spec.model import segformer
from segformer_core.weights.store import save_weights

COMPILED = "-compiled"
PRODUCTS = "products"
CONTESTANTS = ("torch", "mindspore", "transformers")
FILES = ("onnx", "openvino", "transformers-onnx")
OTHERS = (f"torch{COMPILED}", f"transformers{COMPILED}", PRODUCTS, *FILES)
"""Those that take part when they are named."""
INFERENCE, TRAINING, FORWARD, EXPORT = "inference", "training", "forward", "export"
TASKS = (INFERENCE, TRAINING)
TWINS = ("torch", "mindspore")
CLASS_COUNT = 19
PEER = "backend_torch.transformers_peer"
FLOOR = "backend_torch.floor"

Entry = tuple[Callable[[], object], Callable[[], int]]
"""(a function that runs the task once, a function that returns the peak of memory in bytes)."""


@dataclass(frozen=True)
class Setting:
    """The task of every contestant; `size` is height and width, `batch` the images of a training step."""

    variant: str
    size: tuple[int, int]
    batch: int
    precision: str
    device_target: str

    def __str__(self) -> str:
        height, width = self.size
        return f"mit_{self.variant} {height}×{width}, batch {self.batch} in training, {self.precision} on {self.device_target}"

    @property
    def config(self) -> Config:
        config = Config(runtime=RuntimeConfig(device_target=self.device_target, precision=self.precision))
        return replace(config, data=replace(config.data, base_size=self.size))

    @property
    def plan(self) -> Plan:
        return make_plan(self.size, self.config.data, self.config.evaluation)

    def batch_of_noise(self) -> tuple[np.ndarray, np.ndarray]:
        """(batch, 3, H, W) float32 images and (batch, H, W) int32 labels."""
        rng = np.random.default_rng(0)
        images = rng.standard_normal((self.batch, 3, *self.size)).astype(np.float32)
        return images, rng.integers(0, CLASS_COUNT, (self.batch, *self.size)).astype(np.int32)


def takes_part(name: str, task: str) -> bool:
    """A file does not train, nor does backend_torch compile what trains; only our own backends have a command that exports."""
    if task == EXPORT:
        return name in TWINS
    return task != TRAINING or name not in (*FILES, f"torch{COMPILED}")


def enter(name: str, task: str, setting: Setting) -> Entry:
    """The contestant of this name, ready to run."""
    if task == EXPORT:
        return export(name, setting)
    if name in FILES:
        return file(name, task, setting)
    if name == PRODUCTS:
        return products(task, setting)
    name, compiled = name.removesuffix(COMPILED), name.endswith(COMPILED)
    if name == "transformers":
        entry: Entry = import_module(PEER).contestant(task, setting, compiled)
        return entry
    return twin(name, task, setting, compiled)


def twin(name: str, task: str, setting: Setting, compiled: bool) -> Entry:
    """One of our own backends."""
    config, spec = setting.config, segformer(setting.variant, CLASS_COUNT)
    backend = connector(name)(config.runtime)
    as_it_is = "False" if backend.compiles_later else "auto"
    config = replace(config, runtime=replace(config.runtime, compile="True" if compiled else as_it_is))
    groups = parameter_groups(spec, config.optimizer)
    learner = backend.learner(spec, config, print, Training(groups) if task == TRAINING else None)
    learner.load_arrays(init_arrays(spec, 0))
    images, labels = setting.batch_of_noise()
    masks, rates = draw_keep_masks(spec, 0, 0, range(setting.batch)), [1e-6 * group.learning_rate_factor for group in groups]
    tasks: dict[str, Callable[[], object]] = {
        INFERENCE: lambda: learner.predict([images[:1]], setting.plan),
        FORWARD: lambda: learner.forward(images[:1]),
        TRAINING: lambda: float(learner.step((images, labels), masks, rates).loss),
    }
    return tasks[task], backend.peak_memory


def file(name: str, task: str, setting: Setting) -> Entry:
    """An ONNX file in ONNX Runtime or OpenVINO on a CPU; backend_torch resizes its logits and takes the arg-max."""
    config, spec = setting.config, segformer(setting.variant, CLASS_COUNT)
    backend = connector("torch")(replace(config.runtime, device_target="CPU"))
    images, _ = setting.batch_of_noise()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        if name != "transformers-onnx":
            mean, std = config.data.img_norm_mean, config.data.img_norm_std
            form = Form("ONNX", setting.size, False, setting.precision, False, False, mean, std, CLASS_COUNT)
            backend.exports.write(spec, init_arrays(spec, 0), form, path)
        else:
            import_module(PEER).write_onnx(setting, path)
        session = backend.exports.open(path, "openvino" if name == "openvino" else "auto")
    predictor = backend.exports.predictor(session)
    tasks: dict[str, Callable[[], object]] = {
        INFERENCE: lambda: predictor.predict([images[:1]], setting.plan),
        FORWARD: lambda: session(images[:1]),
    }
    return tasks[task], backend.peak_memory


def products(task: str, setting: Setting) -> Entry:
    """One large matrix product by PyTorch, of as many operations as all of the network's together: no network is faster."""
    run: Callable[[], object] = import_module(FLOOR).product_of(task, setting)
    return run, resident_peak


def export(name: str, setting: Setting) -> Entry:
    """The whole command in a process of its own, from weights on disk to a file that is written and proved."""
    spec, (height, width) = segformer(setting.variant, CLASS_COUNT), setting.size
    arrays = init_arrays(spec, 0)
    keys = {
        "backbone": f"mit_{spec.variant}",
        "export_height": height,
        "export_width": width,
        "export_precision": setting.precision,
        "device_target": setting.device_target,
    }
    command = [sys.executable, "-m", f"backend_{name}.export", *(f"--{key}={value}" for key, value in keys.items())]
    checkout = Path(__file__).parents[2]  # a process that starts there finds the packages

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "weights.safetensors"
            save_weights(weights, spec, arrays)
            files = [f"--export_ckpt_path={weights}", f"--export_path={folder}/network"]
            subprocess.run([*command, *files], cwd=checkout, check=True)

    return run, largest_child


def largest_child() -> int:
    """Bytes: the largest resident memory of any one process that was started from this one and has ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
