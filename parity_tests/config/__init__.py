"""Tests of `segformer_core/config`."""
