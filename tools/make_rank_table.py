"""`python tools/make_rank_table.py …`: the command of `segformer_core/commands/make_rank_table.py`, from a checkout."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # last: nothing of the checkout may hide a library

from segformer_core.cli import segformer

if __name__ == "__main__":
    sys.exit(segformer(["make_rank_table", *sys.argv[1:]]))
