"""Names on the Hugging Face hub, and the faults of fetching them; no connection is made."""

import sys

import huggingface_hub
import pytest
from huggingface_hub import errors
from safetensors import safe_open

from parity_tests.weights.weight_files import segmenter, weights_of
from segformer_core.commands.convert_model import main
from segformer_core.errors import WeightsError
from segformer_core.weights.hub import local_path
from segformer_core.weights.reading import read

HUB_NAME = "nvidia/segformer-b0-finetuned-cityscapes-1024-1024"


def test_a_name_without_its_scheme_is_recognised(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        WeightsError, match=f"no such weight file: {HUB_NAME}; did you mean hf:{HUB_NAME}, on the Hugging Face hub"
    ):
        main([HUB_NAME, "x.safetensors"])
    (tmp_path / "nvidia").mkdir()
    with pytest.raises(WeightsError, match=f"^no such weight file: {HUB_NAME}$"):  # a mistyped name in a folder of ours
        read(local_path(HUB_NAME))
    for path in ("pretrained/mit_b0.pth", "a/b/c", "x.safetensors", "/data/b0", "../up/b0"):
        assert str(local_path(path)) == path


@pytest.mark.parametrize(
    "name",
    ["model.keras", "model.h5", "model.safetensors.index.json", "net.onnx", "net.mindir", "net.pt2", "net.om", "b0.pdparams"],
)
def test_a_file_that_is_not_there_is_not_taken_for_a_repository(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=f"^no such weight file: pretrained/{name}$"):
        read(local_path(f"pretrained/{name}"))


@pytest.mark.parametrize(
    "name", ["hf:", "hf:b0", "hf:../b0", "hf:a/..", "hf:a/../../etc", "hf:a/b/c", "hf:a/b c", "hf:/etc", "hf:a/ü"]
)
def test_what_is_no_name_is_not_asked_for(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match=r"is no name of the Hugging Face hub; expected hf:owner/name"):
        local_path(name)


def test_a_converted_file_names_the_repository_and_not_the_folder_of_the_cache(tmp_path, monkeypatch):
    commit = tmp_path / "snapshots" / "0123abcd"
    main([weights_of(tmp_path, segmenter()).source, str(commit), "--to", "hf"])
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: str(commit))
    main([f"hf:{HUB_NAME}", str(tmp_path / "b0.safetensors")])
    with safe_open(tmp_path / "b0.safetensors", "np") as file:
        assert file.metadata()["source"] == HUB_NAME.rpartition("/")[2]


def http_error(kind):
    from requests import Response

    response = Response()
    response.status_code = 401
    return kind("401 Client Error. (Request ID: Root=1)\n\nmore", response=response)


FAULTS = {
    "gated": (lambda: http_error(errors.GatedRepoError), "its owner wants its terms accepted first"),
    "private": (lambda: http_error(errors.RepositoryNotFoundError), "no such repository, or it is private"),
    "offline": (lambda: errors.OfflineModeIsEnabled("no\nmore"), "HF_HUB_OFFLINE forbids it"),
    "no connection": (
        lambda: errors.LocalEntryNotFoundError("please check\nmore"),
        "there is no connection to the hub, and no copy",
    ),
    "a full disk": (lambda: OSError(28, "No space left on device"), "No space left on device"),
    "without a word": (lambda: TimeoutError(), "TimeoutError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_fetching_are_one_sentence(fault, monkeypatch):
    make, words = FAULTS[fault]

    def fetch(*_, **__):
        raise make()

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(WeightsError) as caught:
        local_path("hf:someone/b0")
    sentence = str(caught.value)
    assert sentence.startswith("cannot fetch hf:someone/b0 (") and words in sentence and "\n" not in sentence
    assert "; download config.json and model.safetensors or pytorch_model.bin from https://huggingface.co/someone/b0" in sentence


def test_what_describes_the_network_and_its_images_is_fetched_with_it(monkeypatch, tmp_path):
    asked = []

    def fetch(_, allow_patterns):
        asked.append(allow_patterns)
        (tmp_path / "model.safetensors").write_bytes(b"x")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert local_path("hf:someone/b0") == tmp_path
    assert asked == [["config.json", "model*.safetensors*", "preprocessor_config.json"]]


WHOLE_NETWORKS = {
    "x.onnx": "use python -m backend_torch.export",
    "x.pt2": "use python -m backend_torch.export",
    "x.mindir": "use python -m backend_mindspore.export",
    "x.air": "use python -m backend_mindspore.export",
    "x.engine": "use python -m backend_torch.export --export_format ONNX, then trtexec",
    "x.om": "use python -m backend_mindspore.export, then atc",
}


@pytest.mark.parametrize("target", WHOLE_NETWORKS)
def test_a_whole_network_is_not_a_weight_file(target, tmp_path):
    from parity_tests.weights.weight_files import segmenter, weights_of
    from segformer_core.weights.writing import plan_writing

    with pytest.raises(WeightsError) as caught:
        plan_writing(weights_of(tmp_path, segmenter()), tmp_path / target)
    assert "would be a whole network and convert_model writes weights alone" in str(caught.value)
    assert str(caught.value).endswith(WHOLE_NETWORKS[target])
