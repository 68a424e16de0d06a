"""`python tools/compare_exports.py …`: the command of `segformer_core/commands/compare_exports.py`, from a checkout."""

import sys
import sysconfig
from pathlib import Path

behind_the_standard_library = sys.path.index(sysconfig.get_path("stdlib")) + 1
sys.path.insert(behind_the_standard_library, str(Path(__file__).resolve().parent.parent))

from segformer_core.cli import program

if __name__ == "__main__":
    sys.exit(program(["compare_exports", *sys.argv[1:]]))
