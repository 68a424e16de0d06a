"""Write HCCL's rank table of this Ascend host: `segformer make_rank_table --device_num "[0,8)"`.

`--check FILE --device_num 8` writes nothing: it checks that a table has that many devices, and prints the device id of each rank.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from segformer_core.commands.arguments import new_parser, path_argument
from segformer_core.errors import UserError
from segformer_core.files import atomic_write, writable_directory
from segformer_core.rank_table import (
    HCCN_CONF,
    HCCN_TOOL,
    file_name,
    find_addresses,
    host_address,
    one_group,
    parse_range,
    rank_table,
    read_devices,
    visible_ids,
)


def main(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    logic = parse_range(options.device_num)
    if options.check:
        print(*read_devices(options.check, len(logic)), sep="\n")
        return
    devices = visible_ids(logic, options.visible_devices)
    addresses = find_addresses(devices, options.hccn_tool or _installed_tool(), options.hccn_conf)
    server_ip = options.server_ip or host_address()
    text = json.dumps(rank_table(devices, addresses, server_ip), indent=4) + "\n"
    path = options.output
    if path.suffix != ".json":
        path = writable_directory(path) / file_name(logic, server_ip)
    if path.exists() and not options.force:
        raise UserError(f"{path} exists and is kept; choose another --output, or --force to replace it")
    atomic_write(path, lambda file: file.write_text(text, encoding="utf-8"))
    for rank, (device, address) in enumerate(zip(devices, addresses, strict=True)):
        print(f"rank {rank}: device {device}, {address}")
    if not one_group(logic):
        print("note: an Ascend 910A trains on devices of one of its groups [0,4) and [4,8), or on all eight")
    print(f"wrote {path}: server {server_ip}, {len(devices)} devices")


def _installed_tool() -> Path | None:
    path = shutil.which("hccn_tool") or shutil.which(str(HCCN_TOOL))
    return Path(path) if path else None


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("make_rank_table", __doc__)
    parser.add_argument("--device_num", required=True, help='logic ids of the devices, "[0,8)", or their number')
    parser.add_argument("--visible_devices", default="", help="in a container: the device ids that logic ids 0, 1, … stand for")
    parser.add_argument("--server_ip", default="", help="address of this host (default: that of its host name)")
    parser.add_argument("--hccn_tool", type=path_argument, help=f"default: the one on PATH, or {HCCN_TOOL}")
    parser.add_argument(
        "--hccn_conf", type=path_argument, default=HCCN_CONF, help="read where there is no hccn_tool (default %(default)s)"
    )
    parser.add_argument(
        "--output", type=path_argument, default=Path(), help="a .json file, or the folder for hccl_8p_01234567_IP.json"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing table")
    parser.add_argument(
        "--check", type=path_argument, metavar="FILE", help="only check this table and print the device id of each rank"
    )
    return parser
