"""Rejected images kept for a look: a share of them, for a time, and in nobody's way."""
