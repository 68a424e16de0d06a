"""`hf:owner/name`: weights from the Hugging Face hub. This needs huggingface_hub and a connection to the hub."""

from pathlib import Path

from segformer_core.errors import WeightsError, install
from segformer_core.weights.containers.directory import MODEL_FILES

SCHEME = "hf:"
NVLABS_OWNER = "nvidia"
"""The paper's authors published their weights in transformers' form; they were trained with the paper's constants."""


def local_path(path: str) -> Path:
    """`path` itself, or the folder that hf:owner/name was fetched to. Raises WeightsError, which says what to do instead."""
    if not path.startswith(SCHEME):
        return Path(path)
    name = path.removeprefix(SCHEME)
    files = " or ".join((MODEL_FILES[0], MODEL_FILES[2]))
    instead = (
        f"download config.json and {files} from https://huggingface.co/{name}/tree/main into a folder, say pretrained/"
        f"{name.rpartition('/')[2]}, and name that folder in place of {path}"
    )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise WeightsError(f"{path} needs huggingface_hub: {install('hub')}; or {instead}") from error
    for model in (["config.json", "model*.safetensors*"], ["config.json", "pytorch_model*.bin*"]):
        try:
            folder = Path(snapshot_download(name, allow_patterns=model))
        except Exception as error:  # the client raises errors of its own, of requests and of the system
            first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise WeightsError(f"cannot fetch {path} ({first_line}); {instead}") from error
        if any((folder / file).is_file() for file in MODEL_FILES):
            return folder
    raise WeightsError(f"{path} holds no PyTorch weights; {instead}")


def stated_numerics(path: str) -> str:
    """The profile that a hub name implies: "nvlabs" for the authors' own uploads, else ""."""
    return "nvlabs" if path.startswith(f"{SCHEME}{NVLABS_OWNER}/") else ""
