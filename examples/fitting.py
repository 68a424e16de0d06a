"""What every client does: fit an image to an exported file, and make labels of the file's output. All numbers are the sidecar's.

It needs numpy and opencv-python-headless, and nothing of the project that wrote the file. docs/exporting.md tells the rule.
"""

import json

import cv2
import numpy as np


def read_sidecar(path):
    with open(f"{path}.json", encoding="utf-8") as file:
        about = json.load(file)
    assert about["format"] == 1, f"{path}.json has format {about['format']}; this client knows format 1"
    return about


def read_image(path):
    """(H, W, 3) uint8 RGB; OpenCV reads BGR."""
    return cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)


def fitted_size(size, fit):
    """(height, width) of an image -> those at which the file sees it."""
    base, frame = fit["base_size"], fit["frame"]
    scale = min(max(base) / max(size), min(base) / min(size))
    if frame:
        scale = min(scale, frame[0] / size[0], frame[1] / size[1])
    sides = [max(int(side * scale + 0.5), fit["least"]) for side in size]
    sides = [-(-side // fit["multiple"]) * fit["multiple"] for side in sides]
    return [min(side, most) for side, most in zip(sides, frame, strict=True)] if frame else sides


def prepared(image, about):
    """(H, W, C) uint8 -> the file's input, of one image."""
    takes, fit = about["input"], about["fit"]
    height, width = fitted_size(image.shape[:2], fit)
    seen = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    if not about["form"]["preprocess"]:
        seen = (seen - np.float32(takes["mean"])) / np.float32(takes["std"])
    whole = np.empty((*(fit["frame"] or (height, width)), seen.shape[2]), takes["dtype"])
    whole[:] = fit["padding"]
    whole[:height, :width] = seen
    return np.ascontiguousarray((whole.transpose(2, 0, 1) if takes["layout"] == "NCHW" else whole)[None])


def labels_of(output, size, about):
    """The file's output, and (height, width) of the image -> its (height, width) uint8 labels."""
    gives = about["labels"]
    height, width = (-(-side // gives["stride"]) for side in fitted_size(size, about["fit"]))
    part = output[0, ..., :height, :width]
    if not gives["arg_max"]:
        return cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
    scores = [cv2.resize(scores, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) for scores in part]
    return np.argmax(scores, axis=0).astype(np.uint8)


def told(labels, about):
    """The classes that an image has, with their shares; a class without a name has its index."""
    names = [entry.get("name", str(entry["index"])) for entry in about["classes"]]
    shares = [(labels == entry["index"]).mean() for entry in about["classes"]]
    return ", ".join(f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True) if share)
