"""HCCL's rank table: which Ascend device of a host has which rank, and the address of its network card.

The table's format and its file name are those of hccl_tools.py in the MindSpore model zoo.
"""

import ipaddress
import json
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from segformer_core.errors import BackendError, ConfigError

HCCN_TOOL = Path("/usr/local/Ascend/driver/tools/hccn_tool")
"""Ascend's driver installs the tool here, which is seldom on PATH."""
HCCN_CONF = Path("/etc/hccn.conf")
ANSWER_SECONDS = 60


def parse_range(text: str) -> range:
    """`[4,8)` -> devices 4 to 7; `8` -> devices 0 to 7. Raises ConfigError."""
    match = re.fullmatch(r"\[(\d+),(\d+)\)|(\d+)", text.replace(" ", ""), re.ASCII)
    devices = range(int(match[1] or 0), int(match[2] or match[3])) if match else range(0)
    if not devices:
        raise ConfigError(
            f"--device_num is {text!r}; expected at least one device, as a range such as '[0,8)' or a count such as 8"
        )
    return devices


def visible_ids(logic: range, visible_devices: str) -> list[int]:
    """The device ids that the logic ids stand for: logic id 1 is device 5 of `4,5,6,7`. Without `visible_devices` both are equal.

    Raises ConfigError.
    """
    if not visible_devices:
        return list(logic)
    names = [name.strip() for name in visible_devices.split(",")]
    if not all(re.fullmatch(r"\d+", name, re.ASCII) for name in names) or _repeated(map(int, names)):
        raise ConfigError(f"--visible_devices is {visible_devices!r}; expected device ids, each once, such as 4,5,6,7")
    if logic.stop > len(names):
        raise ConfigError(
            f"--device_num asks for logic ids {logic.start} to {logic.stop - 1}, but --visible_devices names {len(names)} "
            f"devices; expected logic ids from 0 to {len(names) - 1}"
        )
    return [int(names[index]) for index in logic]


def one_group(logic: range) -> bool:
    """Whether an Ascend 910A can train on these devices: they are all in one of its two rings of four, or they are all eight."""
    return not logic.start < 4 < logic.stop or (logic.start, logic.stop) == (0, 8)


def address_in_answer(answer: str) -> str | None:
    """The address in what `hccn_tool -i N -ip -g` prints (`ipaddr:192.168.100.101`), or None."""
    match = re.search(r"^\s*ipaddr\s*:\s*(\S+)", answer, re.MULTILINE)
    return match[1] if match and _is_address(match[1]) else None


def addresses_in_conf(text: str) -> dict[int, str]:
    """Device id -> address, from the lines `address_0=192.168.100.101` of hccn.conf."""
    pairs = re.findall(r"^\s*address_(\d+)\s*=\s*(\S+)", text, re.MULTILINE | re.ASCII)
    return {int(device): address for device, address in pairs if _is_address(address)}


def find_addresses(devices: Sequence[int], tool: Path | None, conf: Path) -> list[str]:
    """The network address of each device, from hccn_tool if `tool` is given, else from hccn.conf. Raises BackendError."""
    if tool is not None:
        return [_ask(tool, device) for device in devices]
    try:
        addresses = addresses_in_conf(conf.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BackendError(
            f"neither hccn_tool nor {conf} exists: run this on the Ascend host, or name the tool with --hccn_tool; "
            "starting with msrun needs no rank table"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BackendError(f"cannot read {conf}: {error}") from error
    missing = [device for device in devices if device not in addresses]
    if missing:
        raise BackendError(f"{conf} has no address for device {missing[0]}; it has those of devices {_listed(addresses)}")
    return [addresses[device] for device in devices]


def host_address() -> str:
    """The address of this host. Raises ConfigError."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError as error:
        raise ConfigError(f"cannot find the address of this host ({error}); give it with --server_ip") from error


def rank_table(devices: Sequence[int], addresses: Sequence[str], server_ip: str) -> dict[str, Any]:
    """The table of one server, with ranks in the order of `devices`. Raises ConfigError for an invalid or repeated address."""
    if not _is_address(server_ip):
        raise ConfigError(f"--server_ip is {server_ip!r}; expected an address such as 10.0.0.1")
    if twice := _repeated(addresses):
        both = [device for device, address in zip(devices, addresses, strict=True) if address == twice]
        raise ConfigError(f"devices {_listed(both)} have the same address {twice}; give each its own with hccn_tool -ip -s")
    ranks = [
        {"device_id": str(device), "device_ip": address, "rank_id": str(rank)}
        for rank, (device, address) in enumerate(zip(devices, addresses, strict=True))
    ]
    server = {"server_id": server_ip, "device": ranks, "host_nic_ip": "reserve"}
    return {"version": "1.0", "server_count": "1", "server_list": [server], "status": "completed"}


def file_name(logic: range, server_ip: str) -> str:
    """`hccl_8p_01234567_10.0.0.1.json`"""
    return f"hccl_{len(logic)}p_{''.join(map(str, logic))}_{server_ip}.json"


def read_devices(path: Path, count: int) -> list[int]:
    """The device id of each rank. Raises ConfigError unless the file is a table of one server and `count` devices."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read rank table {path}: {error}") from error
    return check_table(table, count, str(path))


def check_table(table: Any, count: int, name: str) -> list[int]:
    """The device id of each rank. Raises ConfigError unless the table is complete, of one server and of `count` devices."""
    try:
        servers = [server["device"] for server in table["server_list"]]
        listed = [entry for server in servers for entry in server]
        entries = sorted((int(entry["rank_id"]), int(entry["device_id"]), str(entry["device_ip"])) for entry in listed)
        status = table["status"]
    except KeyError as error:
        raise ConfigError(f"{name} is not a rank table: it has no {error}; make one with tools/make_rank_table.py") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} is not a rank table: {error}; make one with tools/make_rank_table.py") from error
    ranks, devices, addresses = [list(column) for column in zip(*entries, strict=True)] or ([], [], [])
    wrong = {
        f"has status {status!r}; expected 'completed'": status != "completed",
        f"lists {len(servers)} servers; expected one, this host": len(servers) != 1,
        f"lists {len(devices)} devices; expected {count}, the number of devices asked for": len(devices) != count,
        f"has ranks {_listed(ranks)}; expected each from 0 to {len(ranks) - 1} once": ranks != list(range(len(ranks))),
        f"has device {_repeated(devices)} more than once": _repeated(devices) is not None,
        f"has address {_repeated(addresses)} more than once": _repeated(addresses) is not None,
    }
    for what, applies in wrong.items():
        if applies:
            raise ConfigError(f"rank table {name} {what}; make another with tools/make_rank_table.py")
    return devices


def _ask(tool: Path, device: int) -> str:
    command = [str(tool), "-i", str(device), "-ip", "-g"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=ANSWER_SECONDS, check=False)
    except OSError as error:
        raise BackendError(f"cannot run {tool}: {error.strerror}; name another with --hccn_tool") from error
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"{' '.join(command)} did not answer in {ANSWER_SECONDS} seconds") from error
    address = address_in_answer(process.stdout)
    if process.returncode or address is None:
        answer = " ".join((process.stdout + process.stderr).split())[:200] or "nothing"
        raise BackendError(
            f"hccn_tool gave no address of device {device}: {' '.join(command)} ended with exit code {process.returncode} and "
            f"printed: {answer}; "
            "expected a line such as ipaddr:192.168.100.101"
        )
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _repeated(values: Iterable[Any]) -> Any:
    """The first value that occurs more than once, or None."""
    return next((value for value, times in Counter(values).items() if times > 1), None)


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values)) or "none"
