"""transformers' SegFormer beside ours: the only file of the packages that imports transformers."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from backend_torch.exported import OPSET
from backend_torch.layers import DTYPES
from segformer_core.commands.contestants import CLASS_COUNT, FORWARD, INFERENCE, TRAINING, Entry, Setting
from segformer_core.protocol.form import IMAGES, LOGITS
from segformer_core.protocol.learner import resident_peak
from segformer_core.spec.model import SegFormer, segformer


def contestant(task: str, setting: Setting, compiled: bool) -> Entry:
    """transformers' model in the same loop; with lower precision under autocast; `compiled` by torch.compile's own settings."""
    device = torch.device("cpu" if setting.device_target == "CPU" else "cuda")
    model = nn.Module.to(benchmarked(setting), device).train(task == TRAINING)
    if compiled:
        model.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    images, labels = setting.batch_of_noise()
    autocast = partial(torch.autocast, device.type, DTYPES[setting.precision], enabled=setting.precision != "fp32")

    def forward() -> Tensor:
        with torch.inference_mode(), autocast():
            return model(torch.from_numpy(images[:1]).to(device)).logits.float()

    def predict() -> np.ndarray:
        with torch.inference_mode():
            logits = nn.functional.interpolate(forward(), setting.size, mode="bilinear", align_corners=False)
            return logits[0].argmax(0).to(torch.uint8).cpu().numpy()

    def step() -> float:
        with autocast():
            loss = model(torch.from_numpy(images).to(device), labels=torch.from_numpy(labels).to(device).long()).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    tasks: dict[str, Callable[[], object]] = {INFERENCE: predict, FORWARD: lambda: forward().cpu().numpy(), TRAINING: step}
    return tasks[task], torch.cuda.max_memory_allocated if device.type == "cuda" else resident_peak


def benchmarked(setting: Setting) -> SegformerForSemanticSegmentation:
    return transformers_model(segformer(setting.variant, CLASS_COUNT), drop_path_rate=0.1)


def transformers_model(spec: SegFormer, drop_path_rate: float = 0.0, **options: float) -> SegformerForSemanticSegmentation:
    """transformers' network of this shape; `options` are its configuration's. Its weights are random."""
    return SegformerForSemanticSegmentation(
        SegformerConfig(
            num_channels=spec.in_channels,
            depths=[len(stage.blocks) for stage in spec.stages],
            hidden_sizes=[stage.norm.features for stage in spec.stages],
            decoder_hidden_size=spec.decoder_width,
            num_labels=spec.class_count,
            drop_path_rate=drop_path_rate,
            **options,
        )
    )


def write_onnx(setting: Setting, path: Path) -> None:
    """The same network as transformers' model is exported."""
    images = torch.from_numpy(setting.batch_of_noise()[0][:1])
    program = torch.onnx.export(
        Logits(benchmarked(setting).eval()),
        (images,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[IMAGES],
        output_names=[LOGITS],
    )
    assert program is not None, "dynamo=True returns the program"
    program.save(str(path))


class Logits(nn.Module):
    """(B, 3, H, W) -> (B, K, H/4, W/4), without transformers' output object."""

    def __init__(self, model: SegformerForSemanticSegmentation):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).logits
