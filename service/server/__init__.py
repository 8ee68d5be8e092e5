"""Uvicorn with limits for headers and pipelining, early load shedding and a graceful shutdown."""
