"""Drift: how fast and how good it is, beside evidently and whylogs."""
