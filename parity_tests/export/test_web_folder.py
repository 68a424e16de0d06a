"""export_format WEB: what lies in the folder, whence the runtime comes, and the sentences where something is missing.

No test fetches anything: a small archive stands in for ONNX Runtime Web's, and a server of this machine for npm's registry.
"""

import base64
import hashlib
import io
import os
import re
import tarfile
import urllib.request
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from parity_tests.export.export_files import SMALL, connected, described, wrongly
from parity_tests.export.test_export_mistakes import garbled
from parity_tests.export.web_pages import archive, served
from parity_tests.training_runs import flags
from segformer_core.cli import DONE, INCOMPLETE, USERS_MISTAKE, main
from segformer_core.errors import UserError
from segformer_core.export import web_runtime
from segformer_core.export.web_folder import LICENCE, NETWORK, PAGE
from segformer_core.export.web_runtime import ARCHIVE, FILES, PACKAGE, REGISTRY, cache_folder, runtime_files
from segformer_core.files import sha256_of_files
from segformer_core.pages import COLOURS

CONTENT = {name: f"content of {name}".encode() for name in FILES}
OURS = files("segformer_core.export").joinpath("web")
SOURCES = {name: files("segformer_core.pages") / name if name == COLOURS else OURS / name for name in PAGE}
IN_FOLDER = {*PAGE, NETWORK, f"{NETWORK}.json", *(f"{PACKAGE}/{name}" for name in (*FILES, "LICENSE"))}


def packed(content: dict[str, bytes]) -> bytes:
    """An archive as npm makes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for name, data in content.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> Path:
    """A small archive that is taken for ONNX Runtime Web's."""
    path = tmp_path / "packed" / ARCHIVE
    path.parent.mkdir()
    path.write_bytes(packed(CONTENT))
    monkeypatch.setattr(web_runtime, "SHA512", base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode())
    return path


def refuse(url: str) -> bytes:
    raise AssertionError(f"{url} must not be asked for")


def answers(data: bytes, asked: list[str]) -> Callable[[str], bytes]:
    def fetch(url: str) -> bytes:
        asked.append(url)
        return data

    return fetch


def test_the_archive_is_fetched_once_and_kept(stand_in, tmp_path, monkeypatch):
    asked: list[str] = []
    told: list[str] = []
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    monkeypatch.setattr(web_runtime, "fetched", answers(stand_in.read_bytes(), asked))
    assert runtime_files("", environment, told.append) == CONTENT
    assert asked == [f"{REGISTRY}/{PACKAGE}/-/{ARCHIVE}"] and REGISTRY == "https://registry.npmjs.org"
    assert asked[0] in told[0] and str(cache_folder(environment)) in told[0]
    assert [path.name for path in cache_folder(environment).iterdir()] == [ARCHIVE]
    monkeypatch.setattr(web_runtime, "fetched", refuse)
    assert runtime_files("", environment, refuse) == CONTENT


def test_a_damaged_copy_is_fetched_again(stand_in, tmp_path, monkeypatch):
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    kept = cache_folder(environment) / ARCHIVE
    kept.parent.mkdir(parents=True)
    kept.write_bytes(stand_in.read_bytes()[:-1])
    monkeypatch.setattr(web_runtime, "fetched", answers(stand_in.read_bytes(), []))
    assert runtime_files("", environment, print) == CONTENT
    assert kept.read_bytes() == stand_in.read_bytes()


def test_another_archive_is_refused_and_not_kept(stand_in, tmp_path, monkeypatch):
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    other = packed(CONTENT | {FILES[0]: b"of a stranger"})
    monkeypatch.setattr(web_runtime, "fetched", answers(other, []))
    with pytest.raises(
        UserError, match=r"^what https://registry\S+ gives is not onnxruntime-web 1\S+: its SHA-512 is another one; "
    ):
        runtime_files("", environment, print)
    assert not list(tmp_path.glob("cache/**/*.tgz"))
    stand_in.write_bytes(other)
    with pytest.raises(
        UserError, match=r"^export_web_runtime \S+\.tgz is not onnxruntime-web 1\S+: its SHA-512 is another one; "
    ):
        runtime_files(str(stand_in), environment, print)


@pytest.mark.parametrize("variable", ["npm_config_registry", "NPM_CONFIG_REGISTRY"])
def test_the_registry_of_npm_is_asked(variable, stand_in, tmp_path):
    """A real server, by the real way."""
    place = tmp_path / PACKAGE / "-"
    place.mkdir(parents=True)
    (place / ARCHIVE).write_bytes(stand_in.read_bytes())
    with served(tmp_path) as address:
        environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), variable: address}
        assert runtime_files("", environment, print) == CONTENT
        (place / ARCHIVE).unlink()
        assert runtime_files("", environment, print) == CONTENT, "the kept one"
        environment["XDG_CACHE_HOME"] = str(tmp_path / "other")
        with pytest.raises(
            UserError, match=rf"^export_format WEB needs {address}\S+\.tgz, which cannot be fetched \('File not found'\)"
        ):
            runtime_files("", environment, print)


def test_without_a_network_one_sentence_says_what_to_do(stand_in, tmp_path, monkeypatch):
    def cut_off(*arguments, **keywords):
        raise urllib.request.URLError("Network is unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", cut_off)
    with pytest.raises(UserError) as error:
        runtime_files("", {"XDG_CACHE_HOME": str(tmp_path / "cache")}, print)
    version = web_runtime.VERSION
    assert str(error.value) == (
        f"export_format WEB needs https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{version}.tgz, which cannot be "
        f"fetched ('Network is unreachable'); fetch it elsewhere by npm pack onnxruntime-web@{version} and name the file with "
        "--export_web_runtime"
    )


def test_a_path_that_is_no_archive_is_told(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, why in ((tmp_path / "none.tgz", "No such file"), (tmp_path, "Is a directory"), (tmp_path / "pipe", "a named pipe")):
        with pytest.raises(
            UserError, match=rf"export_web_runtime {path}\b.*{why}.*; expected the file that npm pack \S+ writes$"
        ):
            runtime_files(str(path), {}, refuse)


def test_the_real_archive_holds_what_the_page_loads():
    content = runtime_files(str(archive()), {}, refuse)
    program, wasm = (content[name] for name in FILES)
    assert wasm.startswith(b"\0asm") and f"ONNX Runtime Web v{web_runtime.VERSION}".encode() in program[:300]


def exporting(tmp_path: Path, weights: Path, data: Path, runtime: Path, **keys: object) -> list[str]:
    own = {"data_path": data, "export_ckpt_path": weights, "export_format": "WEB", "export_web_runtime": runtime}
    return flags(SMALL | own | {"export_path": tmp_path / "street.web"} | keys)


def test_the_folder_holds_all_that_the_page_needs(folder, weights, stand_in, tmp_path, capsys):
    made = tmp_path / "street.web"
    assert main("export", connected("torch"), exporting(tmp_path, weights, folder, stand_in)) == DONE
    assert {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()} == IN_FOLDER
    assert all((made / name).read_bytes() == source.read_bytes() for name, source in SOURCES.items())
    assert all((made / PACKAGE / name).read_bytes() == data for name, data in CONTENT.items())
    assert "MIT License" in (made / PACKAGE / "LICENSE").read_text()
    about = described(made / NETWORK)
    assert about["file"] == {"name": NETWORK, "sha256": sha256_of_files(made / NETWORK)} and about["form"]["format"] == "ONNX"
    said = capsys.readouterr().out
    assert f"page: {made}/index.html; python -m http.server --directory {made}, then open http://localhost:8000" in said


def test_a_file_of_the_user_is_kept_unless_forced(folder, weights, stand_in, tmp_path, capsys):
    made = tmp_path / "street.web"
    made.mkdir()
    (made / "page.js").write_text("the user's")
    (made / "notes").write_text("the user's, too")
    assert main("export", connected("torch"), exporting(tmp_path, weights, folder, stand_in)) == USERS_MISTAKE
    assert f"{made}/page.js exists and is kept; choose another --export_path, or --force" in capsys.readouterr().err
    assert (made / "page.js").read_text() == "the user's" and not (made / NETWORK).exists()
    arguments = exporting(tmp_path, weights, folder, stand_in, export_force=True)
    assert main("export", connected("torch"), arguments) == DONE
    assert {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()} == IN_FOLDER | {"notes"}


def test_the_folder_is_named_after_the_recipe(folder, weights, stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = {"export_path": "", "export_name": "street"}
    assert main("export", connected("torch"), exporting(tmp_path, weights, folder, stand_in, **keys)) == DONE
    assert (tmp_path / "street.web/index.html").is_file()


def test_of_a_file_that_is_not_proved_nothing_is_left(folder, weights, stand_in, tmp_path):
    connect = wrongly(connected("torch"), garbled)
    assert main("export", connect, exporting(tmp_path, weights, folder, stand_in)) == INCOMPLETE
    assert not (tmp_path / "street.web").exists()


MISTAKES = {
    "a file": ({"export_path": "net.onnx"}, "export_path is net.onnx; expected a folder for WEB, which is a page and all that"),
    "no runtime": (
        {"export_web_runtime": "none.tgz"},
        "cannot read export_web_runtime none.tgz (No such file or directory); expected",
    ),
    "deep images": (
        {"image_range": [0, 4095]},
        "the network's images have image_range [0.0, 4095.0]; a browser gives RGB of 8 bits",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(mistake, folder, weights, stand_in, tmp_path, capsys, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    keys, message = MISTAKES[mistake]
    assert main("export", connected("torch"), exporting(tmp_path, weights, folder, stand_in, **keys)) == USERS_MISTAKE
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list((tmp_path / "empty").iterdir()) and not (tmp_path / "street.web").exists()


def test_the_other_backend_names_the_one_that_writes_it(folder, weights, tmp_path, capsys):
    arguments = exporting(tmp_path, weights, folder, tmp_path / "none.tgz")
    assert main("export", connected("mindspore"), arguments) == USERS_MISTAKE
    said = capsys.readouterr().err
    assert "backend_mindspore writes MINDIR and AIR; for export_format WEB use python -m backend_torch.export" in said


def test_the_page_is_of_small_files_that_name_no_other_host():
    names = {path.name for path in OURS.iterdir()}
    assert names == {*PAGE, LICENCE} - {COLOURS}
    for name, source in SOURCES.items():
        text = source.read_text(encoding="utf-8")
        lines = text.splitlines()
        assert len(lines) < 300 and not [line for line in lines if len(line) > 130], name
        assert set(re.findall(r"https?://[\w.:-]+", text)) <= {"http://localhost:8000", "http://localhost"}, name


def test_both_languages_have_the_same_texts():
    text = OURS.joinpath("texts.js").read_text(encoding="utf-8")
    english, chinese = (re.findall(r"^    (\w+): ", part, re.MULTILINE) for part in text.split("  zh: {"))
    assert english == chinese and len(english) > 10
