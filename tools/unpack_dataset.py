"""`python tools/unpack_dataset.py …`: the command of `segformer_core/commands/unpack_dataset.py`, from a checkout."""

import sys
import sysconfig
from pathlib import Path

behind_the_standard_library = sys.path.index(sysconfig.get_path("stdlib")) + 1
sys.path.insert(behind_the_standard_library, str(Path(__file__).resolve().parent.parent))

from segformer_core.cli import program

if __name__ == "__main__":
    sys.exit(program(["unpack_dataset", *sys.argv[1:]]))
