"""Pickles that cannot be read: whole modules and programs, and known attacks, each with its own sentence."""

import pickle
import re
import warnings

import pytest

from parity_tests.weights.hostile import name, program, text, torch_zip
from segformer_core.errors import WeightsError
from segformer_core.weights import containers
from segformer_core.weights.reading import read


def test_whole_modules_and_programs_get_the_sentence_on_state_dict(tmp_path, need_torch):
    import torch

    layer = torch.nn.Sequential(torch.nn.Linear(2, 2))
    sentence = r"holds a Sequential, not a dictionary of arrays; .* save its state_dict\(\)"
    for tree in (layer, {"model": layer}, {"model": {"net": layer}, "epoch": 3}):
        for zipped in (True, False):
            torch.save(tree, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
            with pytest.raises(WeightsError, match=sentence):
                read(tmp_path / "x.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(layer).save(str(tmp_path / "x.pt"))
    with pytest.raises(
        WeightsError, match=r"is a TorchScript program, not a dictionary .* store its state_dict\(\) with torch.save"
    ):
        read(tmp_path / "x.pt")


ATTACKS = {
    "posix.system": name("posix", "system"),
    "os.system": name("os", "system"),
    "subprocess.Popen": name("subprocess", "Popen"),
    "builtins.eval": name("builtins", "eval"),
    "__builtin__.exec": name("__builtin__", "exec"),
    "builtins.open": name("builtins", "open"),
    "importlib.import_module": name("importlib", "import_module"),
    "runpy.run_path": name("runpy", "run_path"),
    "timm.os.system": text("timm") + text("os.system") + pickle.STACK_GLOBAL,
    "torch.hub.load": name("torch.hub", "load"),
    "torch.serialization.load": name("torch.serialization", "load"),
    "numpy.load": name("numpy", "load"),
    "pickle.loads": name("pickle", "loads"),
    "code.interact": name("code", "interact"),
}


@pytest.mark.parametrize("form", ["pdparams", "zip"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_known_attacks_are_refused(attack, form, tmp_path):
    path = tmp_path / f"x.{form}"
    pickled = program(b"}", text("a"), ATTACKS[attack], text("touch trace"), b"\x85Rs")
    torch_zip(path, pickled) if form == "zip" else path.write_bytes(pickled)
    with pytest.raises(
        WeightsError, match=rf"is a pickle that would call {re.escape(attack)}, .*nothing of it was run; do not trust"
    ):
        read(path)


def test_a_users_module_with_a_name_like_an_attack_is_none(tmp_path):
    path = torch_zip(tmp_path / "x.pth", program(b"}", text("a"), name("code.models", "Config"), b")Rs"))
    with containers.opened(path) as content:
        assert content.inert == ("code.models.Config",)


def test_tensors_pickled_without_torch_save(tmp_path, need_torch):
    import torch

    (tmp_path / "x.pdparams").write_bytes(pickle.dumps({"a": torch.ones(2)}))
    with pytest.raises(WeightsError, match="x.pdparams holds tensors that were pickled without torch.save; load it where"):
        read(tmp_path / "x.pdparams")
