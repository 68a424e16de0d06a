"""Datasets on disk, and how a training sample is made of their images."""
