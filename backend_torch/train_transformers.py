"""`python -m backend_torch.train_transformers --config_path …`: train, with transformers' network in place of ours."""

import sys

from backend_torch.transformers_learner import connect
from segformer_core.cli import main

if __name__ == "__main__":
    sys.exit(main("train", connect, sys.argv[1:]))
