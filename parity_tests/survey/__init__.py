"""Tests of `segformer_core/survey`."""
