"""Tests of the house itself: imports, twins, what is installed."""
