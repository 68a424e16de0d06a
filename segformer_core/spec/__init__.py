"""SegFormer as data: layers, their tree, and their arrays."""
