"""Uvicorn with header limits, early load shedding and a graceful shutdown."""
