"""Everything that holds the two backends equal, and the core's own tests: `pytest parity_tests`."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
