"""YAML to values: plain data only, of bounded size, and every mistake is a ConfigError with its line.

Dates and numbers to base 60 (1:30), which YAML 1.1 reads as values of their own, stay text.
"""

import codecs
from pathlib import Path
from typing import Any

import yaml

from segformer_core.errors import ConfigError, brief

LARGEST_FILE = 2**17
"""Bytes. The largest file of this project's kind, 255 classes, has 20 kB."""
DEEPEST = 32
"""Lists and mappings within each other. No value of this project is deeper than three."""
LONGEST_REASON = 160
UNREAD_TAGS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
"""Kinds of plain words that stay text."""
READ_TAGS = [f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map")]
MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds. Raises ConfigError with the line of a mistake."""
    content = parse_yaml(_text(path), str(path))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds a {type(content).__name__}; expected lines of `key: value`")
    return content


def parse_yaml(text: str, source: str) -> Any:
    """The value that YAML text describes. Raises ConfigError; its sentence begins with `source` and the line."""
    try:
        return yaml.load(text, _PlainLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{source}, line {line}: {chr(error.character)!r} is no character of a text file; delete it") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        reason = error.problem or ""
        if reason.startswith("but "):
            reason = f"{error.context}, {reason}"
        raise ConfigError(f"{source}, line {line}: {reason[:LONGEST_REASON]}") from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; choose another file") from error
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"{path} has more than {LARGEST_FILE:,} bytes; expected a YAML file of a few lines, so choose another")
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: these bytes are no text in UTF-8; save the file as UTF-8") from error


def _mistake(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


class _PlainLoader(yaml.SafeLoader):
    """Refuses what SafeLoader takes or cannot hold: keys given twice, merge keys, deep nesting, values outside their kind."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > DEEPEST:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, f"more than {DEEPEST} values within each other", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag not in READ_TAGS:
            raise _mistake(f"the tag {brief(node.tag)} is not read; write a plain value", node)
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # !!int abc: each kind of value fails in its own way
            kind = node.tag.rpartition(":")[2]
            raise _mistake(f"{brief(node.value)} is no {kind} that can be read", node) from error

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        text = super().construct_scalar(node)
        if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise _mistake(f"{brief(text)} holds half a character; write the whole one", node)
        return text

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                continue  # a list or mapping as a key: SafeLoader refuses it, with its line
            if key.tag == MERGE:  # merges of merges fill any memory
                raise _mistake("the merge key << is not read; write its keys out, or name a file in __BASE__", key)
            if key.value in seen:
                raise _mistake(f"key {brief(key.value)} is given twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> Any:
        return node.value if ":" in node.value else super().construct_yaml_int(node)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> Any:
        return node.value if ":" in node.value else super().construct_yaml_float(node)


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in UNREAD_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_yaml_int)
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _PlainLoader.construct_yaml_float)
