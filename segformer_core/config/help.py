"""The text of `--help`: every key with its default and meaning."""

from dataclasses import fields
from typing import Any

from segformer_core.config.keys import GROUPS


def help_text(program: str) -> str:
    """Usage, then a line per key, by group; `program` is how the command begins."""
    lines = [f"usage: {program} [--config_path FILE] [--KEY VALUE] …", ""]
    for name, group in GROUPS.items():
        lines.append(f"{name}:")
        for item in fields(group):
            choices = item.metadata["choices"]
            meaning = item.metadata["meaning"] + (f" ({', '.join(choices)})" if choices else "")
            lines.append(f"  --{item.name:<32} {meaning}  [{_default_text(item.default)}]")
        lines.append("")
    return "\n".join(lines)


def _default_text(default: Any) -> str:
    return str(list(default)) if isinstance(default, tuple) else repr(default) if default == "" else str(default)
