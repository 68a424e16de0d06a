"""README, its Chinese twin and the pages of docs/: what they say is run, and both languages say the same."""

from parity_tests import ROOT

TWINS = {
    "README.md": "README_CN.md",
    "docs/ascend.md": "docs/ascend_CN.md",
    "docs/exporting.md": "docs/exporting_CN.md",
    "docs/migration.md": "docs/migration_CN.md",
}
"""English page -> its Chinese twin; the blocks of both are equal, so those of the first are run."""

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
    if str(path.relative_to(ROOT)) not in TWINS.values()
)
