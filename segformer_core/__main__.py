"""`python -m segformer_core COMMAND …`: the program `segformer`, where its script is not on PATH."""

import sys

from segformer_core.cli import program

if __name__ == "__main__":
    sys.exit(program())
