"""Tests of `segformer_core/export` and of the backends' files for other runtimes."""
