"""The site: `make docs` builds docs/*.md with Sphinx, and every warning is an error. GitHub shows the same pages as they are."""

import os
import re
from typing import Any

import segformer_core

project = "SegFormer for MindSpore and PyTorch"
version = release = segformer_core.__version__
html_title = f"{project} {version}"
html_theme = "furo"
html_show_copyright = html_show_sphinx = html_copy_source = False

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 4  # as GitHub names them
default_role = "code"  # docstrings put names between single backticks, as Markdown does
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True

REPOSITORY = os.environ.get("GITHUB_REPOSITORY")
FILES = f"{os.environ.get('GITHUB_SERVER_URL')}/{REPOSITORY}/blob/{os.environ.get('GITHUB_SHA')}/" if REPOSITORY else ""
"""Where the files of the checkout are to be seen; empty if the site is built elsewhere than on GitHub, which knows no address."""

TO_THE_CHECKOUT = re.compile(r"\[([^\[\]]+)\]\(\.\./([^()\s]+)\)")
NAME_AND_MEANING = re.compile(r"^(\w[\w, ]*?) {2,}(?=\S)")


def leave_the_site(app: object, page: str, source: list[str]) -> None:
    """`[text](../FILE)` leads out of docs/: to the file's page on GitHub, or, without an address, nowhere."""
    source[0] = TO_THE_CHECKOUT.sub(rf"[\1]({FILES}\2)" if FILES else r"\1", source[0])


def plain_docstring(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text: an asterisk is an asterisk, and `name  meaning` is an entry of a list."""
    lines[:] = [NAME_AND_MEANING.sub(r"- `\1`: ", line).replace("*", r"\*") for line in lines]


def setup(app: Any) -> None:
    app.connect("source-read", leave_the_site)
    app.connect("autodoc-process-docstring", plain_docstring)
