"""The demo: simulated customers, a real Airflow on this machine, and a client for its REST API."""
