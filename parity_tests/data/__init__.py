"""Tests of `segformer_core/data`."""
