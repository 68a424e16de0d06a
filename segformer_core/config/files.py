"""Configuration files: YAML, in a checkout or an installed copy. A file overrides the files that its `__BASE__` names."""

from pathlib import Path
from typing import Any

import yaml

from segformer_core.errors import ConfigError

BASE_KEY = "__BASE__"
PACKAGE = Path(__file__).resolve().parent.parent
RECIPE_HOMES = (PACKAGE, PACKAGE.parent)
"""The folders that may hold `configs/`: a wheel has it in this package, a checkout beside it."""


def find_config(path: str) -> Path:
    """`path` itself, or the recipe of that name that came with the project. Raises ConfigError."""
    for candidate in (Path(path), *(home / path for home in RECIPE_HOMES)):
        if candidate.is_file():
            return candidate
    recipes = sorted({file.name for home in RECIPE_HOMES for file in (home / "configs").glob("*.yaml")})
    raise ConfigError(f"no such configuration file: {path}; the recipes are configs/{{{', '.join(recipes)}}}")


class _UniqueKeyLoader(yaml.SafeLoader):
    """A YAML loader that refuses a key given twice; SafeLoader accepts it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # a list or mapping as a key: SafeLoader refuses it, with its line
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key_node.value!r} is given twice", key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds. Raises ConfigError with the line of a mistake."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{where}: {getattr(error, 'problem', None) or error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds a {type(content).__name__}; expected lines of `key: value`")
    return content


def read_config(path: Path, above: tuple[Path, ...]) -> dict[str, tuple[Any, str]]:
    """Key -> (value, source) of a file and its base files; the file overrides them.

    `above` are the files whose `__BASE__` led to this one. Raises ConfigError.
    """
    path = path.resolve()
    if path in above:
        raise ConfigError(f"{BASE_KEY} goes in a circle: {' -> '.join(map(str, (*above, path)))}")
    content = read_yaml(path)
    bases = content.pop(BASE_KEY, [])
    values: dict[str, tuple[Any, str]] = {}
    if isinstance(bases, str):
        bases = [bases]
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ConfigError(f"{path}: {BASE_KEY} is {bases!r}; expected a file's name or a list of them, relative to this file")
    for base in bases:
        if not (path.parent / base).is_file():
            raise ConfigError(f"{path}: {BASE_KEY} names {base}, but there is no {path.parent / base}")
        values |= read_config(path.parent / base, (*above, path))
    return values | {str(name): (value, str(path)) for name, value in content.items()}
