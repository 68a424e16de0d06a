"""`hf:owner/name`: weights from the Hugging Face hub. This needs huggingface_hub and a connection to the hub."""

import re
from pathlib import Path

from segformer_core.errors import WeightsError, brief, install
from segformer_core.weights.containers import READ_SUFFIXES
from segformer_core.weights.containers.directory import INDEX_SUFFIX, MODEL_FILES
from segformer_core.weights.preprocessor import TRANSFORMERS_FILE
from segformer_core.weights.stated import CONFIG
from segformer_core.weights.writing import EXPORTED

SCHEME = "hf:"
NVLABS_OWNER = "nvidia"
"""The paper's authors published their weights in transformers' form; they were trained with the paper's constants."""
OF_FILES = (*READ_SUFFIXES, INDEX_SUFFIX, *EXPORTED)
"""What ends in one of these is the name of a file, not of a repository."""

NAME = re.compile(r"(?!.*(\.\.|--))\w[\w.-]*/\w[\w.-]*", re.ASCII)

FAULTS = {
    "GatedRepoError": "its owner wants its terms accepted first: do so on its page and log in with huggingface-cli login",
    "RepositoryNotFoundError": "the hub has no such repository, or it is private: check the name, or huggingface-cli login",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE forbids it",
    "LocalEntryNotFoundError": "there is no connection to the hub, and no copy in the cache",
}
"""Errors of huggingface_hub, by the name of their class: what they mean. Those of the first rows are also those of later rows."""


def local_path(path: str) -> Path:
    """`path` itself, or the folder that hf:owner/name was fetched to. Raises WeightsError, which says what to do instead."""
    if not path.startswith(SCHEME):
        return _on_disk(path)
    name = path.removeprefix(SCHEME)
    if not NAME.fullmatch(name):
        raise WeightsError(f"{brief(path)} is no name of the Hugging Face hub; expected hf:owner/name")
    files = " or ".join((MODEL_FILES[0], MODEL_FILES[2]))
    instead = (
        f"download config.json and {files} from https://huggingface.co/{name}/tree/main into a folder, say pretrained/"
        f"{name.rpartition('/')[2]}, and name that folder in place of {path}"
    )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise WeightsError(f"{path} needs huggingface_hub: {install('hub')}; or {instead}") from error
    for model in ("model*.safetensors*", "pytorch_model*.bin*"):
        try:
            folder = Path(snapshot_download(name, allow_patterns=[CONFIG, model, TRANSFORMERS_FILE]))
        except Exception as error:  # the client raises errors of its own, of requests and of the system
            raise WeightsError(f"cannot fetch {path} ({_why(error)}); {instead}") from error
        if any((folder / file).is_file() for file in MODEL_FILES):
            return folder
    raise WeightsError(f"{path} holds no PyTorch weights; {instead}")


def _on_disk(path: str) -> Path:
    """Raises WeightsError for the name of a repository, which is not a file's."""
    local = Path(path)
    if NAME.fullmatch(path) and not path.endswith(OF_FILES) and not local.parent.exists():
        raise WeightsError(f"no such weight file: {path}; did you mean hf:{path}, on the Hugging Face hub?")
    return local


def _why(error: Exception) -> str:
    names = [kind.__name__ for kind in type(error).__mro__]
    first_line = (str(error).strip().splitlines() or [names[0]])[0]
    return next((why for name, why in FAULTS.items() if name in names), first_line)


def stated_numerics(path: str) -> str:
    """The profile that a hub name implies: "nvlabs" for the authors' own uploads, else ""."""
    return "nvlabs" if path.startswith(f"{SCHEME}{NVLABS_OWNER}/") else ""
