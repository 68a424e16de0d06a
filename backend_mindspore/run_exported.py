"""`python -m backend_mindspore.run_exported …`: a file run in a process of its own; see `segformer_core.export.fresh`."""

import sys

from backend_mindspore.device import connect
from segformer_core.export.fresh import answer

if __name__ == "__main__":
    answer(connect, sys.argv[1:])
