"""Serving, against MLflow, a bare FastAPI endpoint, and one that answers a constant."""
