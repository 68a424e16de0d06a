"""Tests of `segformer_core/device_check`."""
