"""Benchmark l: a thousand release groups on the services of docker-compose.yaml."""
