"""Which models are served, and each of them at work."""
