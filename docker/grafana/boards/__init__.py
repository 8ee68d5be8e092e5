"""The Grafana boards as code: `python -m docker.grafana.boards` writes them as JSON."""
