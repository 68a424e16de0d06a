"""A folder in which tests run the launch scripts, with a script in place of Python that records how it was called."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from parity_tests import ROOT

MINE = "my recipe.yaml"
TABLE_OF_TWO = """\
{
    "version": "1.0",
    "server_count": "1",
    "server_list": [
        {
            "server_id": "10.0.0.1",
            "device": [
                {
                    "device_id": "4",
                    "device_ip": "192.168.104.101",
                    "rank_id": "0"
                },
                {
                    "device_id": "6",
                    "device_ip": "192.168.106.101",
                    "rank_id": "1"
                }
            ],
            "host_nic_ip": "reserve"
        }
    ],
    "status": "completed"
}
"""
NOTED = ("RANK_TABLE_FILE", "RANK_SIZE", "RANK_ID", "DEVICE_ID", "PYTHONPATH", "PATH")
FAKE = f"""\
import json, os, signal, subprocess, sys, time
notes, rank = os.environ["NOTES"], os.environ.get("RANK_ID", "0")
does = json.loads(os.environ.get("DOES", "{{}}")).get(rank, 0)
if does == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
note = dict(argv=sys.argv[1:], cwd=os.getcwd(), pid=os.getpid(), **{{key: os.environ.get(key) for key in {NOTED}}})
with open(f"{{notes}}/.{{rank}}", "w") as file:
    json.dump(note, file)
os.rename(f"{{notes}}/.{{rank}}", f"{{notes}}/{{rank}}.json")
print(f"rank {{rank}} runs", flush=True)
while not all(os.path.exists(f"{{notes}}/{{other}}.json") for other in range(int(os.environ.get("RANK_SIZE", 1)))):
    time.sleep(0.02)
if does == "leave":
    child = subprocess.Popen(["sleep", "100"])
    with open(f"{{notes}}/child", "w") as file:
        file.write(str(child.pid))
    sys.exit(3)
try:
    if isinstance(does, str):
        time.sleep(100)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
sys.exit(does)
"""


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


class Bench:
    """A folder to launch in, and a script in place of Python that writes its arguments and environment to a file for each rank.

    Once every rank has written its file, each acts by its entry in `does`: an exit code (0 by default), `wait`, `stubborn`
    (wait and ignore SIGTERM) or `leave` (fail and leave a process behind).
    """

    def __init__(self, folder: Path, tmp_path: Path):
        self.folder, self.notes = folder, tmp_path / "notes"
        self.notes.mkdir()
        (tmp_path / "fake.py").write_text(FAKE)
        code = f'[ "$1" = -m ] || exec {sys.executable} "$@"\nexec {sys.executable} {tmp_path / "fake.py"} "$@"\n'
        self.python = executable(tmp_path / "a python", "#!/bin/sh\n" + code)
        (folder / MINE).write_text("")

    def command(self, script: str, *arguments: object, does: dict | None = None, **variables: object) -> dict:
        """The keywords for `subprocess` that run the script. `variables` are of the environment; None removes one."""
        inherited = {
            key: value for key, value in os.environ.items() if key not in (*NOTED[:5], "BACKEND", "FOREGROUND", "STOP_SECONDS")
        }
        environment = {"PYTHON": self.python, "NOTES": self.notes, "DOES": json.dumps(does or {}), "FOREGROUND": 1} | variables
        return {
            "args": ["bash", str(ROOT / "tools" / script), *map(str, arguments)],
            "env": inherited | {key: str(value) for key, value in environment.items() if value is not None},
            "cwd": self.folder,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }

    def run(self, script: str, *arguments: object, **options) -> subprocess.CompletedProcess:
        return subprocess.run(**self.command(script, *arguments, **options), check=False, timeout=60)

    def noted(self, rank: int = 0) -> dict:
        """What the rank's process wrote about itself: argv, cwd, pid and the environment variables NOTED."""
        wait_for((self.notes / f"{rank}.json").is_file)
        return json.loads((self.notes / f"{rank}.json").read_text())

    def logged(self, name: str) -> str:
        return (self.folder / name).read_text()

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {MINE}


def wait_for(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ended(pid: int) -> bool:
    """Whether the process does not exist any more, or is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
