"""SegFormer in PyTorch, on a CPU or a CUDA device: the reference."""
