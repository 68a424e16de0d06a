"""Configuration files in a checkout or an installed copy. A file overrides the files that its `__BASE__` names."""

from pathlib import Path
from typing import Any

from segformer_core.config.epochs_or_steps import check_one_of_each, overridden
from segformer_core.config.yaml_reading import read_yaml
from segformer_core.errors import ConfigError, brief
from segformer_core.paths import expanded, path_fault

BASE_KEY = "__BASE__"
LONGEST_CHAIN = 50
"""Files that lead to one another by `__BASE__`."""
PACKAGE = Path(__file__).resolve().parent.parent
RECIPE_HOMES = (PACKAGE, PACKAGE.parent)
"""The folders that may hold RECIPES: a wheel has it in this package, a checkout beside it."""
RECIPES = "configs"
OWN_RECIPE = f"{RECIPES}/segformer.b0.own.yaml"
"""The recipe for a user's own data."""

Values = dict[str, tuple[Any, str]]
"""Key -> (value, source)."""


def find_config(path: str) -> Path:
    """`path` itself, or the recipe of that name that came with the project. Raises ConfigError."""
    path = checked_path(path, "configuration file")
    for candidate in (Path(path), *(home / path for home in RECIPE_HOMES)):
        if candidate.is_file():
            return candidate
    if Path(path).exists():
        raise ConfigError(f"{path or '.'} is no file that holds text; name a YAML file")
    recipes = sorted({file.name for home in RECIPE_HOMES for file in (home / RECIPES).glob("*.yaml")})
    if Path(path).name in recipes:  # the original repository's folder is called config
        raise ConfigError(f"no such configuration file: {path}; the recipe of this name is {RECIPES}/{Path(path).name}")
    raise ConfigError(f"no such configuration file: {path}; the recipes are {RECIPES}/{{{', '.join(recipes)}}}")


def checked_path(text: str, what: str) -> str:
    """`text` with its home folder written out. Raises ConfigError if no file can be there; `what` begins its sentence."""
    path = expanded(text)
    fault = path_fault(path)
    if fault:
        raise ConfigError(f"{what} {brief(text)}: {fault}")
    return path


def read_config(path: Path) -> Values:
    """Key -> (value, source) of a file and its base files; the file overrides them. Raises ConfigError."""
    return _Chain().read(path.resolve(), ())


class _Chain:
    """The files read so far: one that many others name as their base is read once."""

    def __init__(self) -> None:
        self.done: dict[Path, Values] = {}

    def read(self, path: Path, above: tuple[Path, ...]) -> Values:
        """`above` are the files whose `__BASE__` led to this one."""
        if path in above:
            raise ConfigError(f"{BASE_KEY} goes in a circle: {' -> '.join(map(str, (*above[above.index(path) :], path)))}")
        if len(above) == LONGEST_CHAIN:
            raise ConfigError(f"{path} is the end of a chain of {LONGEST_CHAIN} files by {BASE_KEY}; join some of them into one")
        if path not in self.done:
            content = read_yaml(path)
            values: Values = {}
            for base in _bases(content.pop(BASE_KEY, []), path):
                values = overridden(values, self.read(base, (*above, path)))
            own = {_name(key, path): value for key, value in content.items()}
            check_one_of_each(own, path)
            self.done[path] = overridden(values, {name: (value, str(path)) for name, value in own.items()})
        return self.done[path]


def _bases(named: Any, path: Path) -> list[Path]:
    """The files that a file's `__BASE__` names. Raises ConfigError."""
    names = [named] if isinstance(named, str) else named
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"{path}: {BASE_KEY} is {brief(named)}; expected a file's name or a list of them, relative to this file"
        )
    bases = [Path(checked_path(str(path.parent / expanded(name)), f"{path}: {BASE_KEY} names")) for name in names]
    for name, base in zip(names, bases, strict=True):
        if not base.is_file():
            raise ConfigError(f"{path}: {BASE_KEY} names {name}, but there is no file {base}")
    return [base.resolve() for base in bases]


def _name(key: Any, path: Path) -> str:
    if not isinstance(key, str):
        raise ConfigError(f"{path} has the key {brief(key)}; expected a key's name, as --help lists them")
    return key
