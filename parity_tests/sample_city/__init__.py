"""Tests of `segformer_core/sample_city`."""
