"""Tests of `segformer_core/pictures.py`."""
