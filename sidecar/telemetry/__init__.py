"""Prometheus metrics, the HTTP endpoints and our own log."""
