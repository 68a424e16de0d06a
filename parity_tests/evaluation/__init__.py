"""Tests of `segformer_core/evaluation`."""
