"""The graphs that an Ascend would compile, held against MindSpore's documentation."""
