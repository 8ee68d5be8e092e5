"""The report of an evaluation: data, metrics, model card and HTML page."""
