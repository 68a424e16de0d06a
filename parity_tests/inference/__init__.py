"""Tests of `segformer_core/inference`."""
