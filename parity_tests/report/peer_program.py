"""Runs one other implementation of SegFormer in an environment of its own: `python peer_program.py PEER FOLDER`.

It imports nothing of this project, so that the environment needs the peer alone. It reads weights, `network.json` and
`images_N.npy` from FOLDER and writes `features_N_STAGE.npy` (B, C, H, W), `logits_N.npy` (B, K, H/4, W/4) where the peer has
SegFormer's head, and `versions.json`. Exit code 3: the peer is not installed.
"""

import json
import re
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

NOT_INSTALLED = 3
MISSING_OPERATORS = 9


def transformers(folder, network):
    from transformers import SegformerForSemanticSegmentation

    model, info = SegformerForSemanticSegmentation.from_pretrained(folder / "hf", output_loading_info=True)
    wrong = {what: sorted(names) for what, names in info.items() if names}
    assert not wrong, f"names that do not fit: {wrong}"
    model.eval()

    def outputs(images):
        hidden = model.segformer(images, output_hidden_states=True).hidden_states
        return list(hidden), model(images).logits

    return outputs


def segmentation_models_pytorch(folder, network):
    import torch

    model = import_module("segmentation_models_pytorch").Segformer(
        encoder_name=f"mit_{network['variant']}",
        encoder_weights=None,
        classes=network["classes"],
        decoder_segmentation_channels=network["decoder_width"],
    )
    model.load_state_dict(torch.load(folder / "smp.pth", weights_only=True))
    model.eval()

    def outputs(images):
        features = model.encoder(images)
        return features[-4:], model.segmentation_head[0](model.decoder(features))

    return outputs


def timm(folder, network):
    import torch

    model = import_module("timm.models.pvt_v2").PyramidVisionTransformerV2(
        num_classes=0,
        depths=network["depths"],
        embed_dims=network["widths"],
        num_heads=network["heads"],
        sr_ratios=network["reductions"],
        mlp_ratios=network["ratios"],
    )
    model.load_state_dict(torch.load(folder / "timm.pth", weights_only=True))
    model.eval()

    def outputs(images):
        features, x = [], model.patch_embed(images)
        for stage in model.stages:
            x = stage(x)
            features.append(x)
        return features, None

    return outputs


PEERS = {
    "transformers": ("transformers", transformers),
    "smp": ("segmentation_models_pytorch", segmentation_models_pytorch),
    "timm": ("timm", timm),
}
"""Peer -> its package, and what makes a function of images that gives features and logits."""


def allow_other_torchvision(torch):
    """A torchvision built for another torch (CUDA beside CPU) is not importable for want of operators that no peer calls."""
    for _ in range(MISSING_OPERATORS):
        try:
            import_module("torchvision")
        except ImportError:
            return
        except RuntimeError as error:
            missing = re.search(r"operator (torchvision::\w+) does not exist", str(error))
            if missing is None:
                raise
            torch.library.define(missing[1], "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        else:
            return


def main(peer: str, folder: Path) -> int:
    package, make = PEERS[peer]
    try:
        import numpy as np
        import torch

        allow_other_torchvision(torch)
        found = version(package)
        import_module(package)
    except ImportError as error:
        print(error, file=sys.stderr)
        return NOT_INSTALLED
    outputs = make(folder, json.loads((folder / "network.json").read_text()))
    for path in sorted(folder.glob("images_*.npy")):
        place = path.stem.removeprefix("images_")
        with torch.no_grad():
            features, logits = outputs(torch.from_numpy(np.load(path)))
        for stage, feature in enumerate(features):
            np.save(folder / f"features_{place}_{stage}.npy", feature.numpy())
        if logits is not None:
            np.save(folder / f"logits_{place}.npy", logits.numpy())
    (folder / "versions.json").write_text(json.dumps({"peer": found, "torch": version("torch"), "numpy": np.__version__}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
