"""Benchmark of preprocessing: our Beam pipeline against per-row DoFns, and against a plain polars script without Beam.

Rules: all three do the same steps on the same files, and their results are compared before a figure is given.
"""
