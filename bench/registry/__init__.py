"""Benchmarks of the registry: alone, with sixteen writers, in clouds, with a long log. The peer is MLflow's registry.

Rules: what is measured and what is not stands in each module's docstring; peers run in the same run, on the same disk.
"""
