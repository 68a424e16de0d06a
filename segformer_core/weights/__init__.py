"""Weights as files."""
