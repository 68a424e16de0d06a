"""The graphs that an Ascend would compile, compared with MindSpore's documentation."""
