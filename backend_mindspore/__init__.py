"""SegFormer in MindSpore, on an Ascend or a CPU."""
