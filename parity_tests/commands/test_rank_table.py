"""The rank table, made with a script in place of hccn_tool that answers as the real one does."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from parity_tests import ROOT
from parity_tests.commands.launcher_bench import TABLE_OF_TWO, executable
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


@pytest.fixture
def hccn_tool(tmp_path) -> Path:
    return executable(tmp_path / "hccn_tool", HCCN_TOOL)


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
    result = make_table(
        "--device_num", "[1,3)", "--visible_devices", "2,4,6", "--server_ip", "10.0.0.1", "--hccn_tool", hccn_tool
    )
    assert result.returncode == 0, result.stderr
    assert "rank 0: device 4, 192.168.104.101\nrank 1: device 6, 192.168.106.101\nwrote hccl_2p_12_10.0.0.1.json" in result.stdout
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
    result = make_table("--device_num", "[3,6)", "--output", table, *common)
    assert result.returncode == 2 and table.read_text() == "mine"
    assert result.stderr == f"error: {table} exists and is kept; choose another --output, or --force to replace it\n"
    result = make_table("--device_num", "[3,6)", "--output", table, "--force", *common)
    assert result.returncode == 0 and "note: an Ascend 910A trains on devices of one of its groups" in result.stdout
    assert make_table("--check", table, "--device_num", 3).stdout == "3\n4\n5\n"


def test_the_address_of_the_host_is_that_of_its_name(hccn_tool, folder, monkeypatch):
    arguments = ["--device_num", "1", "--hccn_tool", str(hccn_tool)]
    monkeypatch.setattr(socket, "gethostname", lambda: "a.host")
    monkeypatch.setattr(socket, "gethostbyname", {"a.host": "10.9.8.7"}.__getitem__)
    make_rank_table.main(arguments)
    assert json.loads((folder / "hccl_1p_0_10.9.8.7.json").read_text())["server_list"][0]["server_id"] == "10.9.8.7"

    def unknown(name: str) -> str:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "gethostbyname", unknown)
    with pytest.raises(ConfigError, match="cannot find the address of this host .*; give it with --server_ip"):
        make_rank_table.main(arguments)


def test_without_hccn_tool_and_hccn_conf_no_table_is_written(folder, monkeypatch):
    monkeypatch.setattr(make_rank_table, "_installed_tool", lambda: None)
    with pytest.raises(BackendError) as raised:
        make_rank_table.main(["--device_num", "[0,8)", "--hccn_conf", "nowhere.conf"])
    assert str(raised.value) == (
        "neither hccn_tool nor nowhere.conf exists: run this on the Ascend host, or name the tool with --hccn_tool; "
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
        (
            "hccn_tool gave no address of device 8: {tool} -i 8 -ip -g ended with exit code 1 and printed: hccn tool: device id "
            "8 is out of range; expected a line such as ipaddr:192.168.100.101"
        ),
    ),
    "beyond the visible": (
        ["--device_num", "[4,8)", "--visible_devices", "4,5,6,7"],
        "--device_num asks for logic ids 4 to 7, but --visible_devices names 4 devices; expected logic ids from 0 to 3",
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
    result = make_table("--server_ip", "10.0.0.1", "--hccn_tool", hccn_tool, *arguments)
    assert result.returncode == 2
    assert result.stdout == "" and result.stderr == f"error: {sentence.format(tool=hccn_tool)}\n"
    assert not list(folder.iterdir())


def test_two_devices_do_not_share_an_address():
    with pytest.raises(ConfigError, match="devices 0, 2 have the same address 10.1.1.1; give each its own"):
        rank_table([0, 1, 2], ["10.1.1.1", "10.1.1.2", "10.1.1.1"], "10.0.0.1")


def changed(change) -> object:
    table = rank_table([4, 5], ["10.1.1.4", "10.1.1.5"], "10.0.0.1")
    change(table, table["server_list"][0]["device"])
    return table


UNSOUND = {
    "count": (
        lambda table, devices: devices.pop(),
        "rank table t.json lists 1 devices; expected 2, the number of devices asked for",
    ),
    "servers": (lambda table, devices: table["server_list"].append({"device": []}), "lists 2 servers; expected one, this host"),
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
