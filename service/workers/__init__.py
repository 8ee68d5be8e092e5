"""One worker process a core: supervisor, channel, shared limits, metrics, drift and samples."""
