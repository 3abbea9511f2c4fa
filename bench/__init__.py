"""Benchmarks: each prints absolute figures, the ratio to a named peer of the same run, and whether the aim is met."""
