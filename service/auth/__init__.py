"""API keys: storage, rotation, roles, rate limits, and the check before a request is answered."""
