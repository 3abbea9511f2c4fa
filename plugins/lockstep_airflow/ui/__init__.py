"""The web UI's server side, in Airflow's API server: JSON for the pages, and their files.

Rules:
- The API server imports it, and no other process of Airflow.
- Every answer is guarded, changes nothing, and is made of the core's own functions.
"""
