"""Parts of the tables of names."""


def below(prefix: str, names: dict[str, str]) -> dict[str, str]:
    """The same table, with `prefix` before each name."""
    return {slot: prefix + name for slot, name in names.items()}


BLOCK = {
    "norm1": "norm1",
    "attn.q": "attn.q",
    "attn.k": "attn.kv",
    "attn.v": "attn.kv",
    "attn.sr": "attn.sr",
    "attn.norm": "attn.norm",
    "attn.proj": "attn.proj",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.dwconv": "mlp.dwconv",
    "mlp.fc2": "mlp.fc2",
}
