"""The launchers, with a Python that only takes notes, and the rank table, with an hccn_tool that says what a real one says."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parity_tests import ROOT
from segformer_core.commands import make_rank_table
from segformer_core.errors import BackendError, ConfigError
from segformer_core.rank_table import (
    address_in_answer,
    addresses_in_conf,
    check_table,
    file_name,
    find_addresses,
    one_group,
    parse_range,
    rank_table,
    visible_ids,
)

ANSWER = "ipaddr:192.168.100.101\nnetmask:255.255.0.0\n"
CONF = """\
send_arp_status_0=1
address_0=192.168.100.101
netmask_0=255.255.0.0
address_1 = 192.168.101.101
netdetect_1=192.168.101.108
  address_10=192.168.110.101
address_2=none
"""
HCCN_TOOL = """\
#!/bin/sh
[ "$1" = -i ] && [ "$3 $4" = "-ip -g" ] || exit 9
case $2 in
  [0-7]) printf 'ipaddr:192.168.10%s.101\\nnetmask:255.255.0.0\\n' "$2" ;;
  *) echo "hccn tool: device id $2 is out of range" >&2; exit 1 ;;
esac
"""
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


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def hccn_tool(tmp_path) -> Path:
    return executable(tmp_path / "hccn_tool", HCCN_TOOL)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder, the current one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def make_table(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools/make_rank_table.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_ranges_and_the_devices_behind_them():
    assert parse_range("[0,8)") == parse_range("8") == range(8)
    assert parse_range("[4, 6)") == range(4, 6) and parse_range("[10,12)") == range(10, 12)
    assert visible_ids(range(4, 6), "") == [4, 5]
    assert visible_ids(range(1, 3), "4,5, 6,7") == [5, 6]
    assert [one_group(devices) for devices in (range(4), range(4, 8), range(8), range(3, 6), range(7))] == [True] * 3 + [
        False
    ] * 2
    assert file_name(range(8), "10.0.0.1") == "hccl_8p_01234567_10.0.0.1.json"


def test_what_hccn_tool_and_hccn_conf_say():
    assert address_in_answer(ANSWER) == "192.168.100.101"
    assert address_in_answer("netmask:255.255.0.0\nipaddr: 10.1.2.3\n") == "10.1.2.3"
    assert address_in_answer("ipaddr:\nnetmask:\n") is None
    assert address_in_answer("ipaddr:none\n") is None
    assert addresses_in_conf(CONF) == {0: "192.168.100.101", 1: "192.168.101.101", 10: "192.168.110.101"}


def test_addresses_come_from_the_tool_or_else_from_the_file(hccn_tool, tmp_path):
    conf = tmp_path / "hccn.conf"
    conf.write_text(CONF)
    assert find_addresses([0, 7], hccn_tool, conf) == ["192.168.100.101", "192.168.107.101"]
    assert find_addresses([10, 0], None, conf) == ["192.168.110.101", "192.168.100.101"]
    with pytest.raises(BackendError, match=r"hccn.conf has no address for device 2; it has those of devices 0, 1, 10"):
        find_addresses([0, 2], None, conf)


def test_the_table_is_the_zoos_byte_for_byte(hccn_tool, folder):
    done = make_table("--device_num", "[1,3)", "--visible_devices", "2,4,6", "--server_ip", "10.0.0.1", "--hccn_tool", hccn_tool)
    assert done.returncode == 0, done.stderr
    assert "rank 0: device 4, 192.168.104.101\nrank 1: device 6, 192.168.106.101\nwrote hccl_2p_12_10.0.0.1.json" in done.stdout
    assert [path.name for path in folder.iterdir()] == ["hccl_2p_12_10.0.0.1.json"]
    assert (folder / "hccl_2p_12_10.0.0.1.json").read_text() == TABLE_OF_TWO
    for count in ("2", "[0,2)"):
        assert make_table("--check", "hccl_2p_12_10.0.0.1.json", "--device_num", count).stdout == "4\n6\n"


def test_where_the_table_goes_and_that_one_is_kept(hccn_tool, folder):
    common = ("--server_ip", "10.0.0.1", "--hccn_tool", hccn_tool)
    assert make_table("--device_num", "8", "--output", "new/tables", *common).returncode == 0
    assert json.loads((folder / "new/tables/hccl_8p_01234567_10.0.0.1.json").read_text())["server_list"][0]["device"][7] == {
        "device_id": "7",
        "device_ip": "192.168.107.101",
        "rank_id": "7",
    }
    table = folder / "table.json"
    table.write_text("mine")
    done = make_table("--device_num", "[3,6)", "--output", table, *common)
    assert done.returncode == 2 and table.read_text() == "mine"
    assert done.stderr == f"error: {table} exists and is kept; choose another --output, or --force to replace it\n"
    done = make_table("--device_num", "[3,6)", "--output", table, "--force", *common)
    assert done.returncode == 0 and "note: an Ascend 910A trains on devices of one of its groups" in done.stdout
    assert make_table("--check", table, "--device_num", 3).stdout == "3\n4\n5\n"


def test_the_host_is_found_by_its_name(hccn_tool, folder, monkeypatch):
    arguments = ["--device_num", "1", "--hccn_tool", str(hccn_tool)]
    monkeypatch.setattr(socket, "gethostname", lambda: "a.host")
    monkeypatch.setattr(socket, "gethostbyname", {"a.host": "10.9.8.7"}.__getitem__)
    make_rank_table.main(arguments)
    assert json.loads((folder / "hccl_1p_0_10.9.8.7.json").read_text())["server_list"][0]["server_id"] == "10.9.8.7"

    def unknown(name: str) -> str:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "gethostbyname", unknown)
    with pytest.raises(ConfigError, match="the address of this host is not to be found .*; give it with --server_ip"):
        make_rank_table.main(arguments)


def test_elsewhere_than_on_an_ascend_host(folder, monkeypatch):
    monkeypatch.setattr(make_rank_table, "_installed_tool", lambda: None)
    with pytest.raises(BackendError) as raised:
        make_rank_table.main(["--device_num", "[0,8)", "--hccn_conf", "nowhere.conf"])
    assert str(raised.value) == (
        "neither hccn_tool nor nowhere.conf is there: run this on the Ascend host, or name the tool with --hccn_tool; "
        "starting with msrun needs no rank table"
    )
    assert not list(folder.iterdir())


EXPECTED_RANGE = "; expected at least one device, as a range such as '[0,8)' or a count such as 8"
TABLE_MISTAKES = {
    "empty range": (["--device_num", "[0,0)"], "--device_num is '[0,0)'" + EXPECTED_RANGE),
    "no device": (["--device_num", "0"], "--device_num is '0'" + EXPECTED_RANGE),
    "backward range": (["--device_num", "[3,1)"], "--device_num is '[3,1)'" + EXPECTED_RANGE),
    "closed range": (["--device_num", "[0,8]"], "--device_num is '[0,8]'" + EXPECTED_RANGE),
    "not a range": (["--device_num", "abc"], "--device_num is 'abc'" + EXPECTED_RANGE),
    "beyond the host": (
        ["--device_num", "[7,9)"],
        "hccn_tool knows no address of device 8: {tool} -i 8 -ip -g (exit code 1) said: hccn tool: device id 8 is out of range; "
        "expected a line such as ipaddr:192.168.100.101",
    ),
    "beyond the visible": (
        ["--device_num", "[4,8)", "--visible_devices", "4,5,6,7"],
        "--device_num asks for devices 4 to 7 of those that --visible_devices names, which are 4: they count from 0 to 3",
    ),
    "visible twice": (
        ["--device_num", "2", "--visible_devices", "4,4"],
        "--visible_devices is '4,4'; expected device ids, each once, such as 4,5,6,7",
    ),
    "visible not ids": (
        ["--device_num", "2", "--visible_devices", "a,b"],
        "--visible_devices is 'a,b'; expected device ids, each once, such as 4,5,6,7",
    ),
    "server": (["--device_num", "1", "--server_ip", "a/b"], "--server_ip is 'a/b'; expected an address such as 10.0.0.1"),
    "no tool": (
        ["--device_num", "1", "--hccn_tool", "no_tool"],
        "cannot run no_tool: No such file or directory; name another with --hccn_tool",
    ),
    "nothing to check": (
        ["--device_num", "1", "--check", "no.json"],
        "cannot read rank table no.json: [Errno 2] No such file or directory: 'no.json'",
    ),
}


@pytest.mark.parametrize("mistake", TABLE_MISTAKES)
def test_a_mistake_is_one_sentence_and_writes_nothing(mistake, hccn_tool, folder):
    arguments, sentence = TABLE_MISTAKES[mistake]
    done = make_table("--server_ip", "10.0.0.1", "--hccn_tool", hccn_tool, *arguments)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr == f"error: {sentence.format(tool=hccn_tool)}\n"
    assert not list(folder.iterdir())


def test_two_devices_do_not_share_an_address():
    with pytest.raises(ConfigError, match="devices 0, 2 have the same address 10.1.1.1; give each its own"):
        rank_table([0, 1, 2], ["10.1.1.1", "10.1.1.2", "10.1.1.1"], "10.0.0.1")


def changed(change) -> object:
    table = rank_table([4, 5], ["10.1.1.4", "10.1.1.5"], "10.0.0.1")
    change(table, table["server_list"][0]["device"])
    return table


UNSOUND = {
    "count": (lambda table, devices: devices.pop(), "rank table t.json has 1 devices and the number of devices asked for is 2"),
    "servers": (lambda table, devices: table["server_list"].append({"device": []}), "is of 2 servers; expected one, this host"),
    "status": (lambda table, devices: table.update(status="initializing"), "has status 'initializing'; expected 'completed'"),
    "ranks": (lambda table, devices: devices[0].update(rank_id="1"), "has ranks 1, 1; expected each from 0 to 1 once"),
    "device": (lambda table, devices: devices[0].update(device_id="5"), "has device 5 more than once"),
    "address": (lambda table, devices: devices[0].update(device_ip="10.1.1.5"), "has address 10.1.1.5 more than once"),
    "key": (
        lambda table, devices: devices[0].pop("device_ip"),
        "t.json is not a rank table: it has no 'device_ip'; make one with",
    ),
    "number": (lambda table, devices: devices[0].update(rank_id="a"), "t.json is not a rank table: invalid literal for int"),
}


@pytest.mark.parametrize("what", UNSOUND)
def test_an_unsound_table_is_refused(what):
    change, sentence = UNSOUND[what]
    assert check_table(changed(lambda table, devices: devices.reverse()), 2, "t.json") == [4, 5], "sorted by rank"
    with pytest.raises(ConfigError) as raised:
        check_table(changed(change), 2, "t.json")
    assert sentence in str(raised.value)
    for other in ([], {}, None, "text"):
        with pytest.raises(ConfigError, match="t.json is not a rank table"):
            check_table(other, 2, "t.json")


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


class Bench:
    """A folder to launch in, and a Python that notes how it was called and, once every rank has, does what `does` says.

    An exit code, `wait`, `stubborn` (wait and ignore SIGTERM) or `leave` (fail and leave a process behind).
    """

    def __init__(self, folder: Path, tmp_path: Path):
        self.folder, self.notes = folder, tmp_path / "notes"
        self.notes.mkdir()
        (tmp_path / "fake.py").write_text(FAKE)
        code = f'[ "$1" = -m ] || exec {sys.executable} "$@"\nexec {sys.executable} {tmp_path / "fake.py"} "$@"\n'
        self.python = executable(tmp_path / "a python", "#!/bin/sh\n" + code)
        (folder / "my recipe.yaml").write_text("")

    def command(self, script: str, *arguments: object, does: dict | None = None, **variables: object) -> dict:
        kept = {
            key: value for key, value in os.environ.items() if key not in (*NOTED[:5], "BACKEND", "FOREGROUND", "STOP_SECONDS")
        }
        environment = {"PYTHON": self.python, "NOTES": self.notes, "DOES": json.dumps(does or {}), "FOREGROUND": 1} | variables
        return {
            "args": ["bash", str(ROOT / "tools" / script), *map(str, arguments)],
            "env": kept | {key: str(value) for key, value in environment.items() if value is not None},
            "cwd": self.folder,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }

    def run(self, *arguments: object, **options) -> subprocess.CompletedProcess:
        return subprocess.run(**self.command(*arguments, **options), check=False, timeout=60)

    def noted(self, rank: int = 0) -> dict:
        wait_for((self.notes / f"{rank}.json").is_file)
        return json.loads((self.notes / f"{rank}.json").read_text())

    def logged(self, name: str) -> str:
        return (self.folder / name).read_text()

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"my recipe.yaml"}


def wait_for(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ended(pid: int) -> bool:
    """Whether the process is gone, or dead and not yet collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def bench(folder, tmp_path) -> Bench:
    return Bench(folder, tmp_path)


MINE = "my recipe.yaml"
MAPPED = {
    "train": (
        ["run_standalone_train.sh", 3, MINE],
        ["-m", "backend_mindspore.train", "--device_id", "3", "--config_path", MINE],
        "train.log",
    ),
    "train, everything": (
        ["run_standalone_train.sh", 0, MINE, "a city", "b.ckpt", "False", "--", "--lr", "1e-4", "--", "*"],
        ["-m", "backend_mindspore.train", "--device_id", "0", "--config_path", MINE, "--data_path", "a city"]
        + ["--pretrained_ckpt_path", "b.ckpt", "--run_eval", "False", "--lr", "1e-4", "--", "*"],
        "train.log",
    ),
    "train, a gap": (
        ["run_standalone_train.sh", 0, MINE, "", "b.ckpt"],
        ["-m", "backend_mindspore.train", "--device_id", "0", "--config_path", MINE, "--pretrained_ckpt_path", "b.ckpt"],
        "train.log",
    ),
    "eval": (
        ["run_eval.sh", 1, "configs/segformer.b0.camvid.yaml", "best.ckpt", "city", "--"],
        ["-m", "backend_mindspore.evaluate", "--device_id", "1", "--config_path", "configs/segformer.b0.camvid.yaml"]
        + ["--eval_ckpt_path", "best.ckpt", "--data_path", "city"],
        "eval.log",
    ),
    "infer": (
        ["run_infer.sh", 1, MINE, "best.ckpt", "city"],
        ["-m", "backend_mindspore.infer", "--device_id", "1", "--config_path", MINE]
        + ["--infer_ckpt_path", "best.ckpt", "--data_path", "city"],
        "infer.log",
    ),
    "infer, output": (
        ["run_infer.sh", 1, MINE, "best.ckpt", "city", "masks", "--", "--infer_copy_original_img=False"],
        ["-m", "backend_mindspore.infer", "--device_id", "1", "--config_path", MINE]
        + ["--infer_ckpt_path", "best.ckpt", "--data_path", "city", "--infer_output_path", "masks"]
        + ["--infer_copy_original_img=False"],
        "infer.log",
    ),
}


@pytest.mark.parametrize("case", MAPPED)
def test_arguments_become_options(case, bench):
    arguments, argv, log = MAPPED[case]
    done = bench.run(*arguments, PYTHONPATH="/theirs")
    assert done.returncode == 0 and done.stdout == "rank 0 runs\n" == bench.logged(log), done.stderr
    noted = bench.noted()
    assert noted["argv"] == argv
    assert noted["cwd"] == str(bench.folder) and noted["PYTHONPATH"] == f"{ROOT}:/theirs"
    assert bench.files() == {log}
    assert bench.run(*arguments, BACKEND="backend_torch").returncode == 0
    assert bench.noted()["argv"] == ["-m", argv[1].replace("mindspore", "torch"), *argv[2:]]


def test_the_exit_code_in_the_foreground(bench):
    done = bench.run("run_eval.sh", 0, MINE, "a", "b", does={"0": 3})
    assert (done.returncode, done.stdout, done.stderr) == (3, "rank 0 runs\nexit code 3\n", "")
    assert bench.logged("eval.log") == done.stdout


@pytest.mark.parametrize("code", [0, 3])
def test_in_the_background(bench, code):
    done = bench.run("run_infer.sh", 0, MINE, "a", "b", does={"0": code}, FOREGROUND=None)
    assert done.returncode == 0 and done.stderr == ""
    pid = int(done.stdout.split("process id ")[1].split()[0])
    assert done.stdout == f"started in the background: log infer.log, process id {pid} (kill {pid} stops it)\n"
    wait_for(lambda: ended(pid))
    assert bench.logged("infer.log") == "rank 0 runs\n" + ("exit code 3\n" if code else "")


def test_stopping_what_runs_in_the_background(bench):
    done = bench.run("run_standalone_train.sh", 0, MINE, does={"0": "wait"}, FOREGROUND=None)
    supervisor, child = int(done.stdout.split("process id ")[1].split()[0]), bench.noted()["pid"]
    wait_for(lambda: "runs" in bench.logged("train.log"))
    assert not ended(supervisor) and not ended(child)
    os.kill(supervisor, signal.SIGHUP)  # the terminal closes
    os.kill(supervisor, signal.SIGTERM)
    wait_for(lambda: ended(supervisor))
    assert ended(child) and bench.logged("train.log") == "rank 0 runs\ninterrupted\nexit code 143\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_stopping_what_runs_in_the_foreground(bench, number, code):
    command = bench.command("run_standalone_train.sh", 0, MINE, does={"0": "wait"})
    with subprocess.Popen(**command, start_new_session=True) as process:
        child = bench.noted()["pid"]
        wait_for(lambda: "runs" in bench.logged("train.log"))
        os.killpg(process.pid, number)  # as a terminal does, and `timeout`
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == code and ended(child)
    assert printed == bench.logged("train.log") == f"rank 0 runs\ninterrupted\nexit code {code}\n"


WRONG = {
    "too few": (["run_eval.sh", 0, MINE, "a"], {}, "usage: bash tools/run_eval.sh DEVICE_ID CONFIG_FILE CKPT_PATH DATASET_PATH"),
    "too many": (["run_eval.sh", 0, MINE, "a", "b", "c"], {}, "usage: bash tools/run_eval.sh DEVICE_ID CONFIG_FILE"),
    "none": (["run_infer.sh"], {}, "usage: bash tools/run_infer.sh DEVICE_ID CONFIG_FILE CKPT_PATH DATASET_PATH [OUTPUT_PATH]"),
    "none to train": (
        ["run_standalone_train.sh", 0],
        {},
        "usage: bash tools/run_standalone_train.sh DEVICE_ID CONFIG_FILE [DATA",
    ),
    "none to share": (
        ["run_distribute_train.sh", 2, "-"],
        {},
        "usage: bash tools/run_distribute_train.sh DEVICE_NUM RANK_TABLE_",
    ),
    "device": (["run_infer.sh", "one", MINE, "a", "b"], {}, "error: DEVICE_ID is 'one'; expected a whole number from 0"),
    "device to eval": (["run_eval.sh", "", MINE, "a", "b"], {}, "error: DEVICE_ID is ''; expected a whole number from 0"),
    "negative": (["run_standalone_train.sh", -1, MINE], {}, "error: DEVICE_ID is '-1'; expected a whole number from 0"),
    "octal": (["run_standalone_train.sh", "010", MINE], {}, "error: DEVICE_ID is '010'; expected a whole number from 0"),
    "no devices": (["run_distribute_train.sh", 0, "-", MINE], {}, "error: DEVICE_NUM is '0'; expected a whole number from 1"),
    "config": (
        ["run_standalone_train.sh", 0, "a.yaml"],
        {},
        "error: no such configuration file: a.yaml, neither in {here} nor in",
    ),
    "config to eval": (["run_eval.sh", 0, "a.yaml", "b", "c"], {}, "error: no such configuration file: a.yaml"),
    "config to infer": (["run_infer.sh", 0, "a.yaml", "b", "c"], {}, "error: no such configuration file: a.yaml"),
    "config to share": (["run_distribute_train.sh", 2, "-", "a.yaml"], {}, "error: no such configuration file: a.yaml"),
    "option": (
        ["run_standalone_train.sh", 0, MINE, "--lr", "1"],
        {},
        "error: unexpected option --lr; options of the command go behind --",
    ),
    "backend": (
        ["run_standalone_train.sh", 0, MINE],
        {"BACKEND": "torch"},
        "error: BACKEND is torch; expected backend_mindspore or backend_torch",
    ),
    "patience": (
        ["run_standalone_train.sh", 0, MINE],
        {"STOP_SECONDS": "long"},
        "error: STOP_SECONDS is 'long'; expected a whole number from 0",
    ),
    "python": (
        ["run_standalone_train.sh", 0, MINE],
        {"PYTHON": "/no/python"},
        "error: no such Python: /no/python; name one in the environment variable PYTHON",
    ),
    "no table": (
        ["run_distribute_train.sh", 2, "no.json", MINE],
        {},
        "error: no such rank table: no.json; make it with tools/make_rank_table.py, or give - to start with msrun",
    ),
    "table for torch": (
        ["run_distribute_train.sh", 2, "../two.json", MINE],
        {"BACKEND": "backend_torch"},
        "error: a rank table is for backend_mindspore; give - to start backend_torch with torchrun",
    ),
    "another count": (
        ["run_distribute_train.sh", 8, "../two.json", MINE],
        {},
        "error: rank table ../two.json has 2 devices and the number of devices asked for is 8; expected the same; make another",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_start_nothing(what, bench, two):
    arguments, variables, sentence = WRONG[what]
    for foreground in (1, None):
        done = bench.run(*arguments, FOREGROUND=foreground, **variables)
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr.startswith(sentence.format(here=bench.folder)), done.stderr
        assert sentence.startswith("usage") or done.stderr.count("\n") == 1
    assert not list(bench.notes.iterdir()) and not bench.files()


def test_a_log_that_cannot_be_written(bench):
    (bench.folder / "train.log").mkdir()
    for foreground in (1, None):
        done = bench.run("run_standalone_train.sh", 0, MINE, FOREGROUND=foreground)
        assert done.returncode == 2
        assert done.stderr == f"error: cannot write train.log in {bench.folder}; go to another folder\n"
    assert not list(bench.notes.iterdir())


@pytest.mark.parametrize("script", ["run_standalone_train.sh", "run_distribute_train.sh", "run_eval.sh", "run_infer.sh"])
def test_help(script, bench):
    done = bench.run(script, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: bash tools/{script} DEVICE_")
    for word in ("[-- OPTION…]", "BACKEND=", "PYTHON", "FOREGROUND=1", "STOP_SECONDS"):
        assert word in done.stdout


@pytest.fixture
def two(tmp_path) -> Path:
    (tmp_path / "two.json").write_text(TABLE_OF_TWO)
    return tmp_path / "two.json"


SHARED = ["-m", "backend_mindspore.train", "--run_distribute", "True", "--config_path", MINE]


def test_a_process_for_every_rank_of_the_table(bench, two):
    done = bench.run("run_distribute_train.sh", 2, "../two.json", MINE, "city", "a.ckpt", "True", "--", "--seed", "1")
    assert done.returncode == 0, done.stderr
    for rank, device in enumerate("46"):
        noted = bench.noted(rank)
        options = ["--data_path", "city", "--pretrained_ckpt_path", "a.ckpt", "--run_eval", "True", "--seed", "1"]
        assert noted["argv"] == SHARED + options
        found = {key: noted[key] for key in NOTED[:4]}
        assert found == {"RANK_TABLE_FILE": str(two), "RANK_SIZE": "2", "RANK_ID": str(rank), "DEVICE_ID": device}
    assert bench.files() == {"train.log", "train_rank_1.log"}
    assert done.stdout == bench.logged("train.log") == "rank 0 runs\n"
    assert bench.logged("train_rank_1.log") == "rank 1 runs\n"


@pytest.mark.parametrize(("does", "code"), [("wait", 3), ("stubborn", 3), ("wait", 2)])
@pytest.mark.parametrize("fails", [0, 1])
def test_a_rank_that_fails_ends_the_others(bench, two, does, code, fails):
    start = time.monotonic()
    doing = {str(fails): code, str(1 - fails): does}
    done = bench.run("run_distribute_train.sh", 2, two, MINE, does=doing, STOP_SECONDS=1 if does == "stubborn" else 60)
    assert done.returncode == code and time.monotonic() - start < 20
    wait_for(lambda: ended(bench.noted(1 - fails)["pid"]))  # a process that is killed may take a moment
    assert f"rank {fails} ended with exit code {code}; the others are stopped\n" in done.stdout
    assert done.stdout.endswith(f"exit code {code}\n") and done.stdout == bench.logged("train.log")


def test_what_a_failing_rank_leaves_behind_is_ended(bench):
    done = bench.run("run_eval.sh", 0, MINE, "a", "b", does={"0": "leave"})
    assert done.returncode == 3 and ended(int((bench.notes / "child").read_text()))


def test_a_rank_that_is_done_does_not_end_the_others(bench, two):
    done = bench.run("run_distribute_train.sh", 2, two, MINE, does={"1": "wait"}, FOREGROUND=None)
    supervisor = int(done.stdout.split("process id ")[1].split()[0])
    first, second = bench.noted(0)["pid"], bench.noted(1)["pid"]
    wait_for(lambda: ended(first))
    time.sleep(1.5)  # the launcher looks every second
    assert not ended(second) and not ended(supervisor)
    os.kill(supervisor, signal.SIGTERM)
    wait_for(lambda: ended(supervisor))
    assert ended(second) and bench.logged("train_rank_1.log") == "rank 1 runs\ninterrupted\n"


def test_msrun_starts_them_without_a_table(bench, need_mindspore, monkeypatch):
    from mindspore.parallel.cluster.run import get_args

    arguments = ("run_distribute_train.sh", 3, "-", MINE, "a city")
    done = bench.run(*arguments, RANK_TABLE_FILE="/old/table.json")
    assert done.returncode == 0, done.stderr
    noted = bench.noted()
    assert noted["argv"][:2] == ["-m", "mindspore.parallel.cluster.run"] and noted["RANK_TABLE_FILE"] is None
    monkeypatch.setattr(sys, "argv", noted["argv"][1:])
    options = get_args()
    assert (options.worker_num, options.local_worker_num, options.join, options.log_dir) == (3, 3, True, "msrun_log")
    assert options.task_script == "python" and options.task_script_args == [*SHARED, "--data_path", "a city"]
    with socket.create_server(("127.0.0.1", options.master_port)):
        pass  # it was free
    assert bench.run(*arguments).returncode == 0
    assert bench.noted()["argv"] != noted["argv"], "another port"

    workers = {"PATH": noted["PATH"], "NOTES": str(bench.notes)}
    subprocess.run(["python", *SHARED], env=workers, cwd=bench.folder, check=True, capture_output=True)
    assert bench.noted()["argv"] == SHARED, "msrun's `python` is the launcher's PYTHON"


def test_torchrun_starts_those_of_the_other_backend(bench, need_torch):
    from torch.distributed.run import get_args_parser

    done = bench.run("run_distribute_train.sh", 3, "-", MINE, "a city", "--", "--seed", "1", BACKEND="backend_torch")
    assert done.returncode == 0, done.stderr
    argv = bench.noted()["argv"]
    assert argv[:2] == ["-m", "torch.distributed.run"]
    options = get_args_parser().parse_args(argv[2:])
    assert options.standalone and options.nproc_per_node == "3"
    assert options.module and options.training_script == "backend_torch.train"
    assert options.training_script_args == [*SHARED[2:], "--data_path", "a city", "--seed", "1"]
    assert bench.files() == {"train.log"}
