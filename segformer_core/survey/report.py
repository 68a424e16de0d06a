"""The whole check of a dataset: reads, tells, writes."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segformer_core.data.description import FILE_NAME
from segformer_core.errors import UserError, plural
from segformer_core.files import writable_directory, write_text
from segformer_core.survey.described import described
from segformer_core.survey.findings import Finding, findings
from segformer_core.survey.page import MARK, page
from segformer_core.survey.proposal import proposal, recipe_folder
from segformer_core.survey.splits import find_layout
from segformer_core.survey.survey import Survey, named, survey
from segformer_core.survey.written import PROPOSED, dataset_yaml, recipe

SOUND, WRONG = 0, 1
"""Exit codes."""

REPORT = "report.html"
HEAD_BYTES = 4096
"""A page of ours has its mark among the first."""


@dataclass(frozen=True)
class Wanted:
    """What to write. recipe: the file; None: FOLDER_recipe.yaml if `write` is set, else none."""

    report: Path
    write: bool = False
    recipe: Path | None = None
    force: bool = False


def check_dataset(data_path: str, dataset_file: str, workers: int, wanted: Wanted, tell: Callable[[str], object]) -> int:
    """Returns the exit code. Raises UserError if there is no dataset, or if a file cannot be written."""
    layout = find_layout(data_path, dataset_file)
    usual = Path(f"{recipe_folder(layout.root)}_recipe.yaml")
    recipe_path = wanted.recipe or (usual if wanted.write else None)
    report = writable_directory(wanted.report) / REPORT
    if report.exists() and not wanted.force and MARK.encode() not in _head(report):
        raise UserError(f"{report} is there and was not made by check_dataset; name another --report, or --force replaces it")
    if recipe_path:
        if recipe_path.resolve() == (layout.root / FILE_NAME).resolve():
            raise UserError(f"{recipe_path} is the dataset's description; give the recipe another name, as --recipe FILE")
        writable_directory(recipe_path.parent)
    if wanted.write and layout.named is None:
        writable_directory(layout.root)
    seen = survey(layout, workers)
    said: list[str] = []
    unmade: UserError | None = None
    if wanted.write and layout.named is None:
        try:
            file = write_text(layout.root / FILE_NAME, dataset_yaml(seen))
            said.append(f"wrote {file}: give the classes their names there")
            seen = named(seen, find_layout(data_path, dataset_file))
        except UserError as error:  # the report shows why
            unmade = error
    elif wanted.write and layout.description:
        said.append(f"{layout.description} is there and stays as it is")
    found, choices = findings(seen), proposal(seen)
    if recipe_path and choices and not unmade:
        kept = recipe_path.exists() and not wanted.force
        if not kept:
            write_text(recipe_path, recipe(seen, choices, recipe_path, seen.layout.description))
        kept_line = f"{recipe_path} is there and stays as it is; --force replaces it"
        said.append(kept_line if kept else f"wrote {recipe_path}, a recipe with this proposal")
    write_text(report, page(seen, found, choices))
    said += last_lines(seen, found, report, recipe_path or usual, dataset_file)
    for line in (*described(seen, found, choices), "", *said):
        tell(line)
    if unmade:
        raise unmade
    return WRONG if any(finding.wrong for finding in found) else SOUND


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def last_lines(seen: Survey, found: Sequence[Finding], report: Path, recipe_path: Path, dataset_file: str) -> list[str]:
    """The verdict, and what to do next."""
    wrong = sum(finding.wrong for finding in found)
    hints = plural(len(found) - wrong, "hint")
    look = f"next: look at {report}"
    if wrong:
        words = ["--dataset_file", dataset_file] if dataset_file else ["--write"] if seen.layout.named is None else []
        again = shlex.join(["segformer", "check_dataset", str(seen.layout.root), *words])
        return [f"WRONG: {plural(wrong, 'thing')}; {hints}", f"{look}, repair what is WRONG above, then run {again}"]
    if PROPOSED.encode() in _head(recipe_path):
        train = f"python -m backend_torch.train --config_path {recipe_path}"
        return [f"nothing is wrong; {hints}", f"{look}, then run {train} (or backend_mindspore)"]
    return [f"nothing is wrong; {hints}", f"{look}, then let --recipe FILE write a recipe with this proposal"]
