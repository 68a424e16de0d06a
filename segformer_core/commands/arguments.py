"""The command line of the commands that take no configuration."""

import argparse


def new_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser of `segformer NAME …`; the description is shown as it stands."""
    return argparse.ArgumentParser(
        prog=f"segformer {name}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
