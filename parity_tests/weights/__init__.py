"""Tests of `segformer_core/weights`."""
