"""MindSpore's kernels for a CPU: what they compute, and how their library comes to be."""
