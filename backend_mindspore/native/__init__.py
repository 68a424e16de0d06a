"""Kernels of our own for a CPU: C++ files, the library that is compiled from them, and the cells that call it."""
