"""`python tools/make_contact_sheet.py …`: the command of `segformer_core/commands/make_contact_sheet.py`, from a checkout."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # last: nothing of the checkout may hide a library

from segformer_core.cli import segformer

if __name__ == "__main__":
    sys.exit(segformer(["make_contact_sheet", *sys.argv[1:]]))
