"""Tests of `segformer_core/commands` and of the scripts in `tools`."""
