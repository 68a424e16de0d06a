"""Datasets on disk, and how a training sample is made from their images."""
