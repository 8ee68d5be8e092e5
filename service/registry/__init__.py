"""The served models: deployments by name and version, and their reload."""
