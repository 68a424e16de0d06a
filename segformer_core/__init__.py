"""SegFormer (arXiv 2105.15203) without a framework: everything that the backends share, in numpy."""

__version__ = "1.0.0"
