"""The verbs of a learner for transformers' SegFormer, so that it trains in our loop: see `tools/compare_training.py`.

Loss, optimizer, loss scale and prediction are backend_torch's own; only the network is transformers'. Its arrays have our names
outside. Where it would drop branches and channels at random, it takes the keep masks that our network takes.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend_torch import device
from backend_torch.layers import DTYPES
from backend_torch.learner import Learner
from segformer_core.config.keys import Config, RuntimeConfig
from segformer_core.errors import BackendError, ConfigError
from segformer_core.protocol.average import PREFIX
from segformer_core.protocol.groups import ParameterGroup
from segformer_core.protocol.learner import Backend, LogLine, Precision, Training
from segformer_core.spec.arrays import check_arrays
from segformer_core.spec.model import TRANSFORMERS_NUMERICS, SegFormer
from segformer_core.weights.detect import detect
from segformer_core.weights.dialect import entries
from segformer_core.weights.dialects import CANONICAL

BY_NAME = ("moment1.", "moment2.", PREFIX)
"""Before the name of an array: its moments, and its moving average."""


def connect(runtime: RuntimeConfig) -> Backend:
    """PyTorch's backend with transformers' network. Raises BackendError."""
    backend = device.connect(runtime)
    try:
        import_module("backend_torch.transformers_peer")
    except ModuleNotFoundError as error:
        raise BackendError(f"{error.name} is not installed, and transformers' network needs it; install it here") from error
    if backend.processes.count > 1:
        raise BackendError(f"transformers' network trains in one process; there are {backend.processes.count}: start one")
    place = torch.device(backend.device)
    return replace(
        backend,
        name="transformers",
        learner=lambda spec, config, log, training=None, fused=True: TransformersLearner(
            spec, config, training, backend.precision, place, log
        ),
    )


class TransformersLearner(Learner):
    def __init__(
        self,
        spec: SegFormer,
        config: Config,
        training: Training | None,
        precision: Precision,
        device: torch.device,
        log: LogLine,
    ):
        """Raises ConfigError for a profile that is not transformers'."""
        if spec.numerics != TRANSFORMERS_NUMERICS:
            raise ConfigError(
                f"numerics is {spec.numerics}, and transformers' network has those of {TRANSFORMERS_NUMERICS}; set "
                f"--numerics {TRANSFORMERS_NUMERICS}"
            )
        super().__init__(spec, config, training, precision, device, log)
        self.names = their_names(self.model)
        """Our name of an array -> transformers' names, stacked in this order along the first axis."""
        check_arrays(spec, self.arrays(), "transformers' model")
        self.training = training and replace(training, groups=tuple(self._theirs(group) for group in training.groups))

    def _network(self) -> Any:
        return Network(self.spec, self.precision)

    def _theirs(self, group: ParameterGroup) -> ParameterGroup:
        return replace(group, names=tuple(name for ours in group.names for name in self.names[ours]))

    def arrays(self) -> dict[str, np.ndarray]:
        return self.ours(super().arrays())

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        check_arrays(self.spec, arrays, "the given set of arrays")
        state = self.model.state_dict()
        for name, array in self._divided(arrays).items():
            state[name].copy_(torch.from_numpy(np.ascontiguousarray(array)))

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        theirs = super().optimizer_arrays()
        ours = {name: array for name, array in theirs.items() if not name.startswith(BY_NAME)}
        return ours | {prefix + name: array for prefix in BY_NAME for name, array in self.ours(theirs, prefix).items()}

    def load_optimizer_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        theirs = {name: array for name, array in arrays.items() if not name.startswith(BY_NAME)}
        for prefix in BY_NAME:
            theirs |= self._divided(arrays, prefix)
        super().load_optimizer_arrays(theirs)

    def ours(self, theirs: Mapping[str, np.ndarray], prefix: str = "") -> dict[str, np.ndarray]:
        """Our names and shapes of the arrays whose names follow `prefix`."""
        return {
            name: np.concatenate([theirs[prefix + part] for part in parts])
            for name, parts in self.names.items()
            if prefix + parts[0] in theirs
        }

    def _divided(self, ours: Mapping[str, np.ndarray], prefix: str = "") -> dict[str, np.ndarray]:
        """transformers' names and shapes of the arrays whose names follow `prefix`."""
        return {
            prefix + part: piece
            for name, parts in self.names.items()
            if prefix + name in ours
            for part, piece in zip(parts, np.split(ours[prefix + name], len(parts)), strict=True)
        }


class Network(nn.Module):
    """transformers' network, called as ours is."""

    def __init__(self, spec: SegFormer, precision: Precision):
        super().__init__()
        from backend_torch.transformers_peer import transformers_model  # `connect` has tried whether it can be imported

        none = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"), 0.0)
        network: Any = transformers_model(spec, **none)
        self.network, self.precision = network, precision
        blocks = [module for module in network.modules() if hasattr(module, "drop_path")]
        assert len(blocks) == len(spec.blocks), f"transformers' network has {len(blocks)} blocks that can be dropped"
        self.drop_paths = [Keep() for _ in blocks]
        for block, keep in zip(blocks, self.drop_paths, strict=True):
            block.drop_path = keep
        self.dropout = network.decode_head.dropout = Keep()

    def forward(self, images: Tensor, keep_paths: Tensor | None = None, keep_channels: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) float32 RGB, normalised -> (B, K, H/4, W/4) logits, with the masks that ours takes."""
        if keep_paths is not None and keep_channels is not None:
            for keep, masks in zip(self.drop_paths, keep_paths, strict=True):
                keep.masks = list(masks)
            self.dropout.masks = [keep_channels]
        dtype = DTYPES[self.precision.training if self.training else self.precision.inference]
        with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
            logits = self.network(images).logits
        assert not any(keep.masks for keep in (*self.drop_paths, self.dropout)), "transformers' network left a mask unused"
        return logits


class Keep(nn.Module):
    """In place of random dropping: multiplies by the masks that it holds, one for each call; without any it changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        return x * self.masks.pop(0).to(x.dtype) if self.masks else x


def their_names(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Our name of each array -> the names in `model` of the arrays that are stacked in it."""
    match = detect({name: tuple(array.shape) for name, array in model.state_dict().items()}, "transformers' model")
    theirs = {entry.atoms[0].name: match.prefix + name for name, entry in match.entries.items()}
    ours = {name: entry for name, entry in entries(CANONICAL, match.architecture).items() if not entry.optional}
    return {name: tuple(theirs[atom.name] for atom in entry.atoms) for name, entry in ours.items()}
