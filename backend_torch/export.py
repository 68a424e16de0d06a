"""`python -m backend_torch.export --config_path …`: see `segformer_core.cli`."""

import sys

from backend_torch.device import connect
from segformer_core.cli import main

if __name__ == "__main__":
    sys.exit(main("export", connect, sys.argv[1:]))
