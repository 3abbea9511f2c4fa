"""Benchmark k: the web UI's server side at its full size, beside Airflow's own pages."""
