"""`python -m backend_torch.eval`: the original repository's name of `evaluate`."""

import sys

from backend_torch.device import connect
from segformer_core.cli import main

if __name__ == "__main__":
    sys.exit(main("evaluate", connect, sys.argv[1:]))
