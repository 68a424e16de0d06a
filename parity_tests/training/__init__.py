"""Tests of `segformer_core/training`."""
