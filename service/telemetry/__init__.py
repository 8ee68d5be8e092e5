"""Logs, Prometheus metrics and OpenTelemetry traces of the service."""
