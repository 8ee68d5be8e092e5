"""Encoded images to pixels, within limits that are known before anything is allocated."""
